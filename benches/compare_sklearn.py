"""scikit-learn's logistic regression on the same rows, to compare the classifier with.

    python benches/compare_sklearn.py [--loso]

Character 2- to 5-grams and word 1- and 2-grams of the text, TF-IDF, liblinear. Needs scikit-learn;
the corpora are looked for in REPLYGUARD_CORPORA (default ../shared/data). Abuse rows count as ham.
With --loso each source is scored by a model trained on all others; the vocabulary and its document
frequencies, but no labels, are taken from all rows.
"""

import argparse
import json
import os
import pathlib
import time

import numpy as np
from scipy.sparse import hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

CORPORA = pathlib.Path(os.environ.get("REPLYGUARD_CORPORA", "../shared/data"))


def read(*names):
    rows = [json.loads(line) for name in names for line in open(CORPORA / name, encoding="utf-8")]
    texts = [row["text"] for row in rows]
    spam = np.array([row["label"] == "spam" for row in rows])
    return texts, spam, np.array([row["source"] for row in rows])


def recall_at(scores, spam, false_positive_rate):
    ham = np.sort(scores[~spam])[::-1]
    allowed = int(len(ham) * false_positive_rate)
    threshold = ham[allowed] if allowed < len(ham) else -np.inf
    return float((scores[spam] > threshold).mean())


def figures(scores, spam):
    if spam.all() or not spam.any():
        return None
    return {
        "auc": float(roc_auc_score(spam, scores)),
        "recall_at_1_percent": recall_at(scores, spam, 0.01),
        "recall_at_0_1_percent": recall_at(scores, spam, 0.001),
    }


def report(title, scores, spam, source):
    print(title, json.dumps({"pooled": figures(scores, spam)}))
    for name in sorted(set(source)):
        of = source == name
        print(" ", name, json.dumps(figures(scores[of], spam[of])))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loso", action="store_true")
    arguments = parser.parse_args()
    texts, spam, source = read("train_spam.jsonl", "train_tox.jsonl")
    begin = time.monotonic()
    characters = TfidfVectorizer(analyzer="char", ngram_range=(2, 5), min_df=2, sublinear_tf=True, dtype=np.float32)
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, dtype=np.float32)
    table = hstack([characters.fit_transform(texts), words.fit_transform(texts)]).tocsr()
    built = time.monotonic()
    model = LogisticRegression(solver="liblinear", C=1.0).fit(table, spam)
    fitted = time.monotonic()
    print(f"{len(texts)} rows: features {built - begin:.1f} s, fit {fitted - built:.1f} s")
    dev_texts, dev_spam, dev_source = read("dev_spam.jsonl", "dev_tox.jsonl")
    dev = hstack([characters.transform(dev_texts), words.transform(dev_texts)]).tocsr()
    report("development", model.decision_function(dev), dev_spam, dev_source)
    if not arguments.loso:
        return
    scores = np.zeros(len(texts))
    for name in sorted(set(source)):
        out = source == name
        model = LogisticRegression(solver="liblinear", C=1.0).fit(table[~out], spam[~out])
        scores[out] = model.decision_function(table[out])
        print("left out", name, flush=True)
    report("leave one source out", scores, spam, source)


if __name__ == "__main__":
    main()
