#!/usr/bin/env python3
"""scikit-learn's logistic regression on the same rows, for the tables of docs/model-card.md.

Character 2-5-grams within words and word 1-2-grams, hashed into 2^20 buckets each, each part of
unit length; liblinear, C = 1. Only the text is used. Needs scikit-learn and numpy.

    python3 benches/compare_sklearn.py --train FILE... --evaluate FILE...
    python3 benches/compare_sklearn.py --train FILE... --leave-one-source-out
    python3 benches/compare_sklearn.py --train FILE... --fit-only
    python3 benches/compare_sklearn.py --svmlight FILE    # written by train --export-features
"""

import argparse
import json
import resource
import time

import numpy as np
from scipy.sparse import hstack
from sklearn.datasets import load_svmlight_file
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score


def read(paths):
    texts, spam, sources = [], [], []
    for path in paths:
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                texts.append(row["text"])
                spam.append(row["label"] == "spam")
                sources.append(row.get("source", path))
    return texts, np.array(spam), np.array(sources)


def features(texts):
    words = HashingVectorizer(ngram_range=(1, 2), n_features=2**20, alternate_sign=False)
    runs = HashingVectorizer(
        analyzer="char_wb", ngram_range=(2, 5), n_features=2**20, alternate_sign=False
    )
    return hstack([words.transform(texts), runs.transform(texts)]).tocsr().astype(np.float32)


def fit(rows, spam, weights=None):
    model = LogisticRegression(solver="liblinear", dual=True, C=1.0, max_iter=200)
    return model.fit(rows, spam, sample_weight=weights)


def recall_at(scores, spam, rate):
    ham = np.sort(scores[~spam])[::-1]
    if len(ham) == 0 or not spam.any():
        return float("nan")
    threshold = ham[int(len(ham) * rate)]
    return float((scores[spam] > threshold).mean())


def figures(name, scores, spam):
    both = spam.any() and not spam.all()
    auc = roc_auc_score(spam, scores) if both else float("nan")
    recalls = [recall_at(scores, spam, rate) for rate in (0.01, 0.001)]
    print(f"{name:24} {(~spam).sum():7} {spam.sum():7} {auc:.3f} {recalls[0]:.4f} {recalls[1]:.4f}")
    return auc, recalls[0]


def table(scores, spam, sources):
    means = []
    for source in sorted(set(sources)):
        part = sources == source
        means.append(figures(source, scores[part], spam[part]))
    figures("all together", scores, spam)
    auc, recall = np.nanmean(np.array(means), axis=0)
    print(f"{'mean of sources':40} {auc:.3f} {recall:.4f}")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--train", nargs="+", default=[])
    arguments.add_argument("--evaluate", nargs="+", default=[])
    arguments.add_argument("--leave-one-source-out", action="store_true")
    arguments.add_argument("--fit-only", action="store_true")
    arguments.add_argument("--svmlight")
    options = arguments.parse_args()
    if options.svmlight:
        rows, labels = load_svmlight_file(options.svmlight, n_features=2**20, dtype=np.float32)
        # liblinear takes 32-bit indices only.
        rows.indices, rows.indptr = rows.indices.astype(np.int32), rows.indptr.astype(np.int32)
        start = time.perf_counter()
        fit(rows, labels > 0)
        print(f"liblinear on {rows.shape[0]} rows, {rows.nnz} entries: "
              f"{time.perf_counter() - start:.1f} s")
        return
    texts, spam, sources = read(options.train)
    start = time.perf_counter()
    rows = features(texts)
    built = time.perf_counter()
    model = fit(rows, spam)
    end = time.perf_counter()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{len(texts)} comments: features {built - start:.1f} s, fit {end - built:.1f} s, "
          f"{memory:.0f} MiB")
    if options.evaluate:
        texts, dev_spam, dev_sources = read(options.evaluate)
        table(model.decision_function(features(texts)), dev_spam, dev_sources)
    if options.leave_one_source_out:
        scores = np.zeros(len(spam))
        for source in sorted(set(sources)):
            left_out = sources == source
            scores[left_out] = fit(rows[~left_out], spam[~left_out]).decision_function(
                rows[left_out]
            )
        table(scores, spam, sources)


main()
