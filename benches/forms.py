#!/usr/bin/env python3
"""The three forms of the Weston-Watkins gradient in NumPy, as the tutorial compares them: the counterpart of forms.rs.

    python3 benches/forms.py [--rows N] [--rounds N]

500 rows of 3,073 features and 10 classes, float64, one thread. Prints milliseconds of processor time (medians) and how far the forms differ.
"""

import argparse
import os
import statistics
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

D, K = 3073, 10


def naive(x, y, w):
    """Two loops: a positive margin adds the row to one column and takes it from another."""
    n, loss, dw = len(x), 0.0, np.zeros_like(w)
    for i in range(n):
        scores = x[i].dot(w)
        for j in range(K):
            if j == y[i]:
                continue
            margin = scores[j] - scores[y[i]] + 1
            if margin > 0:
                loss += margin
                dw[:, j] += x[i]
                dw[:, y[i]] -= x[i]
    return loss / n, dw / n


def by_class(x, y, w):
    """The margins at once; then, class by class, the sum of the rows that its column of the mask selects."""
    n = len(x)
    scores = x.dot(w)
    margins = np.maximum(0, scores - scores[np.arange(n), y][:, None] + 1)
    margins[np.arange(n), y] = 0
    mask, dw = margins > 0, np.zeros_like(w)
    counts = mask.sum(axis=1)
    for j in range(K):
        own = y == j
        dw[:, j] = x[mask[:, j]].sum(axis=0) - (counts[own, None] * x[own]).sum(axis=0)
    return margins.sum() / n, dw / n


def matrix(x, y, w):
    """One product: Q holds the mask, and minus its row sums at the labels."""
    n = len(x)
    scores = x.dot(w)
    margins = np.maximum(0, scores - scores[np.arange(n), y][:, None] + 1)
    margins[np.arange(n), y] = 0
    q = (margins > 0).astype(x.dtype)
    q[np.arange(n), y] = -q.sum(axis=1)
    return margins.sum() / n, x.T.dot(q) / n


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    random = np.random.default_rng(0)
    x = random.uniform(-128, 128, (args.rows, D))
    w = random.uniform(-2e-4, 2e-4, (D, K))
    y = random.integers(0, K, args.rows)
    forms = [("naive loops", naive), ("one class at a time", by_class), ("one product", matrix)]
    times = {name: [] for name, _ in forms}
    _, expected = naive(x, y, w)
    worst = dict.fromkeys(times, 0.0)
    for _ in range(args.rounds):
        for name, form in forms:
            start = time.process_time()
            _, dw = form(x, y, w)
            times[name].append(1e3 * (time.process_time() - start))
            worst[name] = max(worst[name], float(np.abs(dw - expected).max() / np.abs(expected).max()))
    print(f"{args.rows} rows, {D} features, {K} classes; loss and gradient, NumPy {np.__version__}, medians of {args.rounds} rounds\n")
    print(f"{'form':<40} {'ms':>9} {'to naive':>9} {'difference':>12}")
    base = statistics.median(times["naive loops"])
    for name, _ in forms:
        ms = statistics.median(times[name])
        print(f"{name:<40} {ms:>9.2f} {base / ms:>8.1f}x {worst[name]:>12.1e}")


if __name__ == "__main__":
    main()
