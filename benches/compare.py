#!/usr/bin/env python3
"""Other spam filters, trained on the rows of our base model: docs/model-card.md, "Beside others".

    python3 benches/compare.py --train FILE... --leave-one-source-out --out DIR    # all methods
    python3 benches/compare.py --train FILE... --evaluate FILE... --method nb-lr --out DIR
    python3 benches/compare.py --table OURS.jsonl DIR/sklearn.jsonl ...    # prints markdown
    python3 benches/compare.py --svmlight FILE    # times liblinear on `train --export-features`

Only the text is used, and every row counts once. The methods:

    sklearn      logistic regression on character 2-5-grams within words and word 1-2-grams
    nb-lr        the same on grams that are there or not, times their log-count ratio (Wang and
                 Manning 2012)
    fasttext     fastText, supervised
    bogofilter   the program of that name; each comment is a message of its own
    naive-bayes  multinomial, on words

Needs benches/requirements.txt and, for bogofilter, the program on the path.
"""

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SEED = 1
BUCKETS = 2**20


class Sklearn:
    """Words and characters have unit length each; liblinear, C = 1."""

    def prepare(self, texts):
        return word_and_character_grams(texts)

    def scores(self, rows, spam, others):
        return logistic_regression(rows, spam).decision_function(others)


class NaiveBayesLogisticRegression:
    """Each gram weighs the logarithm of how much more often spam has it; liblinear, C = 1.

    20 rounds: it converges slowly, and 200 rounds gave the same figures on a sixth of the rows.
    """

    def prepare(self, texts):
        return word_and_character_grams(texts, binary=True, norm=None)

    def scores(self, rows, spam, others):
        from scipy.sparse import diags_array

        in_spam, in_ham = (1 + np.asarray(rows[part].sum(axis=0)).ravel() for part in (spam, ~spam))
        ratio = np.log(in_spam / in_spam.sum()) - np.log(in_ham / in_ham.sum())
        scale = diags_array(ratio.astype(np.float32))
        model = logistic_regression(rows @ scale, spam, rounds=20)
        return model.decision_function(others @ scale)


class FastText:
    """Lower case, signs apart from words; pairs of words and characters 2-5."""

    settings = {"dim": 10, "epoch": 5, "lr": 0.5, "wordNgrams": 2, "minn": 2, "maxn": 5}
    same_again = {"bucket": BUCKETS, "thread": 1, "seed": SEED, "verbose": 0}

    def prepare(self, texts):
        parts = (re.findall(r"\w+|[^\w\s]", text.lower()) for text in texts)
        return np.array([" ".join(words) for words in parts], dtype=object)

    def scores(self, rows, spam, others):
        import fasttext

        with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".txt") as lines:
            for text, is_spam in zip(rows, spam):
                lines.write(f"__label__{'spam' if is_spam else 'ham'} {text}\n")
            lines.flush()
            model = fasttext.train_supervised(lines.name, **self.settings, **self.same_again)
        scores = []
        for labels, shares in zip(*model.predict(list(others), k=2)):
            share = dict(zip(labels, shares))
            scores.append(np.log(share["__label__spam"]) - np.log(share["__label__ham"]))
        return np.array(scores)


class Bogofilter:
    """A mailbox of spam, a mailbox of ham; the score is the program's less a half."""

    def prepare(self, texts):
        head = "From comment Thu Jan  1 00:00:00 1970\nContent-Type: text/plain; charset=UTF-8\n\n"
        bodies = (re.sub(r"(?m)^From ", ">From ", text.replace("\r", "\n")) for text in texts)
        return np.array([f"{head}{body}\n\n".encode() for body in bodies], dtype=object)

    def scores(self, rows, spam, others):
        with tempfile.TemporaryDirectory() as folder:
            self.run(folder, "-s", rows[spam])
            self.run(folder, "-n", rows[~spam])
            lines = self.run(folder, "-TT", others).split()
        assert len(lines) == len(others), "bogofilter counts other messages than we do"
        return np.array(lines, dtype=float) - 0.5

    @staticmethod
    def run(folder, option, messages):
        command = ["bogofilter", "-C", "-d", folder, "-M", option]
        # It exits with 0 to 2 for spam, ham and unsure, with 3 for an error.
        done = subprocess.run(command, input=b"".join(messages), stdout=subprocess.PIPE)
        if done.returncode > 2:
            sys.exit("bogofilter failed")
        return done.stdout


class NaiveBayes:
    """How often each word stands in spam and in ham, one added; words never seen count nothing."""

    def prepare(self, texts):
        from sklearn.feature_extraction.text import CountVectorizer

        return CountVectorizer(token_pattern=r"\w+").fit_transform(texts)

    def scores(self, rows, spam, others):
        from sklearn.naive_bayes import MultinomialNB

        learnt = rows.max(axis=0).toarray().ravel() > 0
        model = MultinomialNB().fit(rows[:, learnt], spam)
        shares = model.predict_joint_log_proba(others[:, learnt])
        return shares[:, 1] - shares[:, 0]


METHODS = {
    "sklearn": Sklearn,
    "nb-lr": NaiveBayesLogisticRegression,
    "fasttext": FastText,
    "bogofilter": Bogofilter,
    "naive-bayes": NaiveBayes,
}


def word_and_character_grams(texts, binary=False, norm="l2"):
    """Hashed, so that nothing is learnt from the texts here."""
    from scipy.sparse import hstack
    from sklearn.feature_extraction.text import HashingVectorizer

    shared = {"n_features": BUCKETS, "alternate_sign": False, "dtype": np.float32}
    shared |= {"binary": binary, "norm": norm}
    words = HashingVectorizer(ngram_range=(1, 2), **shared).transform(texts)
    runs = HashingVectorizer(analyzer="char_wb", ngram_range=(2, 5), **shared).transform(texts)
    return hstack([words, runs]).tocsr()


def logistic_regression(rows, spam, rounds=200):
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(
        solver="liblinear", dual=True, C=1.0, max_iter=rounds, random_state=SEED
    )
    return model.fit(rows, spam)


def read_examples(paths):
    """Texts, labels and sources. As in training, what is not spam is ham, abuse too."""
    rows = [json.loads(line) for path in paths for line in open(path, encoding="utf-8")]
    spam = np.array([row["label"] == "spam" for row in rows])
    return [row["text"] for row in rows], spam, np.array([row["source"] for row in rows])


def score(name, train, evaluate, leave_one_source_out, train_only=()):
    """The labels, sources and scores of what is to be judged."""
    method = METHODS[name]()
    texts, spam, sources = read_examples(train + evaluate)
    known = np.arange(len(spam)) < len(read_examples(train)[1])
    start = time.perf_counter()
    rows = method.prepare(texts)
    tell(f"{name}: {len(spam)} rows prepared", start)
    if leave_one_source_out:
        judged = sorted(set(sources) - set(train_only))
        folds = [(sources != source, sources == source) for source in judged]
    else:
        folds = [(known, ~known)]
    scores = np.full(len(spam), np.nan)
    for train_part, judged in folds:
        start = time.perf_counter()
        scores[judged] = method.scores(rows[train_part], spam[train_part], rows[judged])
        tell(f"{name}: {train_part.sum()} rows learnt, {judged.sum()} scored", start)
    judged = ~np.isnan(scores)
    return spam[judged], sources[judged], scores[judged]


def tell(what, start):
    seconds = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{what}: {seconds:.1f} s; {memory:.0f} MiB at most so far", file=sys.stderr)


def write_scores(path, spam, sources, scores):
    """As `replyguard evaluate --scores` writes them."""
    with open(path, "w", encoding="utf-8") as lines:
        for source, is_spam, raw_score in zip(sources, spam, scores):
            row = {"source": str(source), "spam": bool(is_spam), "raw_score": float(raw_score)}
            lines.write(json.dumps(row) + "\n")


def read_scores(path):
    """The scores by source, of spam and of ham, highest first."""
    found = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            spam, ham = found.setdefault(row["source"], ([], []))
            (spam if row["spam"] else ham).append(row["raw_score"])
    return {source: [np.sort(part)[::-1] for part in found[source]] for source in sorted(found)}


def auc(spam, ham):
    """The probability that spam scores above ham; a tie counts half."""
    ham = ham[::-1]
    below, up_to = np.searchsorted(ham, spam, "left"), np.searchsorted(ham, spam, "right")
    return (below + up_to).sum() / 2 / len(spam) / len(ham)


def threshold(ham, rate):
    """Flags this share of ham, or less; scores above it are flagged."""
    return ham[int(len(ham) * rate)]


def recall(spam, ham, rate=0.01):
    return (spam > threshold(ham, rate)).mean()


def ham_flagged_at_recall(spam, ham, caught):
    """The fewest ham flagged by a threshold that catches so many spam."""
    return 0 if caught == 0 else int((ham >= spam[caught - 1]).sum())


def pooled(sources):
    return [np.sort(np.concatenate(parts))[::-1] for parts in zip(*sources.values())]


def sizes(sources):
    return {source: [len(part) for part in parts] for source, parts in sources.items()}


def markdown(head, rows):
    lines = ["| " + " | ".join(cells) + " |\n" for cells in [head, *rows]]
    lines.insert(1, "|---" + "|--:" * (len(head) - 1) + "|\n")
    return "".join(lines)


def percent(share):
    return f"{share * 100:.2f} %"


def count(number):
    return f"{number:,}"


def print_tables(paths):
    """Ours is the first file."""
    names = [Path(path).stem for path in paths]
    methods = dict(zip(names, map(read_scores, paths)))
    ours = methods[names[0]]
    for name, sources in methods.items():
        if sizes(sources) != sizes(ours):
            sys.exit(f"{name} was not measured on the rows of {names[0]}")
    both = [source for source in ours if all(map(len, ours[source]))]
    all_parts = [pooled(sources) for sources in methods.values()]

    tables, summary = [], [[name] for name in names]
    for title, figure, show in [("AUC", auc, "{:.3f}".format), ("recall at 1 %", recall, percent)]:
        table = np.array([[figure(*methods[name][source]) for name in names] for source in both])
        rows = [[f"`{source}`", *map(show, row)] for source, row in zip(both, table)]
        tables.append(f"{title}:\n\n" + markdown(["source", *names], rows))
        for line, parts, column in zip(summary, all_parts, table.T):
            better = (column > table[:, 0]).sum()
            line += [show(column.mean()), show(figure(*parts)), count(better)]
    columns = ("mean of sources", "all together", f"sources better than {names[0]}")
    head = [f"{figure}, {what}" for figure in ("AUC", "recall at 1 %") for what in columns]
    print(f"{len(both)} sources have both labels:\n\n" + markdown(["filter", *head], summary))
    print("\n".join(tables))

    limits = [threshold(ham, 0.01) for _, ham in all_parts]
    for title, label in [("Ham flagged", 1), ("Spam caught", 0)]:
        rows = []
        for source in ours:
            if source not in both and len(ours[source][label]):
                parts = [sources[source][label] for sources in methods.values()]
                shares = [percent((part > limit).mean()) for part, limit in zip(parts, limits)]
                rows.append([f"`{source}`", count(len(parts[0])), *shares])
        head = ["source", "ham" if label else "spam", *names]
        print(f"{title} at the threshold that flags 1 % of all ham:\n\n" + markdown(head, rows))

    if "sklearn" in methods:
        print_bar(methods, both, all_parts)


def print_bar(methods, both, all_parts):
    """Whether ours, the first, flags at most half of the ham that sklearn flags at even odds."""
    names = list(methods)
    rows, met = [], []
    for source in [*both, None]:
        parts = [sources[source] for sources in methods.values()] if source else all_parts
        spam, ham = parts[names.index("sklearn")]
        caught, bar = int((spam >= 0).sum()), int((ham >= 0).sum())
        flagged = [ham_flagged_at_recall(*pair, caught) for pair in parts]
        met.append(flagged[0] * 2 <= bar)
        cells = [count(bar if name == "sklearn" else n) for name, n in zip(names, flagged)]
        name = "**all together**" if source is None else f"`{source}`"
        rows.append([name, percent(caught / len(spam)), *cells, "yes" if met[-1] else "no"])
    head = ["source", "recall of sklearn", *names, f"{names[0]} at most half"]
    print("Ham flagged at the recall that sklearn has at even odds:\n\n" + markdown(head, rows))
    print(f"At most half: {sum(met[:-1])} of {len(both)} sources.")


def time_liblinear(path):
    from sklearn.datasets import load_svmlight_file

    rows, labels = load_svmlight_file(path, n_features=BUCKETS, dtype=np.float32)
    # liblinear takes 32-bit indices only.
    rows.indices, rows.indptr = rows.indices.astype(np.int32), rows.indptr.astype(np.int32)
    start = time.perf_counter()
    logistic_regression(rows, labels > 0)
    tell(f"liblinear on {rows.shape[0]} rows, {rows.nnz} entries", start)


def main():
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    jobs = arguments.add_argument_group("what to do, one of")
    jobs = jobs.add_mutually_exclusive_group(required=True)
    jobs.add_argument("--leave-one-source-out", action="store_true",
                      help="score each source of --train by what was learnt from all others")
    jobs.add_argument("--evaluate", nargs="+", metavar="FILE", default=[],
                      help="score these rows by what was learnt from --train")
    jobs.add_argument("--table", nargs="+", metavar="SCORES",
                      help="print tables of scores, named by their files; first ours, written by "
                           "`replyguard evaluate --leave-one-source-out --scores ours.jsonl`")
    jobs.add_argument("--svmlight", metavar="FILE", help="time liblinear on these features")
    arguments.add_argument("--train", nargs="+", metavar="FILE", default=[],
                           help="labelled examples")
    arguments.add_argument("--train-only", nargs="+", metavar="SOURCE", default=[],
                           help="learnt from when others are left out, and judged never")
    arguments.add_argument("--method", action="append", choices=METHODS,
                           help="may be given more than once [default: all]")
    arguments.add_argument("--out", type=Path, metavar="DIR", default=Path("."),
                           help="where METHOD.jsonl is written, one score a line [default: .]")
    options = arguments.parse_args()
    if options.table:
        print_tables(options.table)
    elif options.svmlight:
        time_liblinear(options.svmlight)
    elif not options.train:
        arguments.error("needs --train")
    else:
        options.out.mkdir(parents=True, exist_ok=True)
        for name in options.method or METHODS:
            found = score(name, options.train, options.evaluate, options.leave_one_source_out,
                          options.train_only)
            write_scores(options.out / f"{name}.jsonl", *found)


if __name__ == "__main__":
    main()
