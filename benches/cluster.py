"""Rounds, bytes and seconds of training on a Dask cluster of this machine: python benches/cluster.py [--workers K] [--scheduler ADDRESS]

Synthetic rows around a centre a class, made where they are needed. The last column is what a round costs beside the work of its parts: 40 rounds of
four partitions of ten rows each.
"""

import argparse
import time

import dask.array as da
import numpy as np
from distributed import Client, LocalCluster

from burn_svm.dask import SVMClassifier


def labels(info, k):
    """Labels of a chunk of rows."""
    start, stop = info[None]["array-location"][0]
    return np.arange(start, stop) % k


def problem(n, d, k, parts):
    """Rows and labels in partitions, out of their graph."""
    centres = np.random.default_rng(0).normal(size=(k, d)) / d**0.5

    def rows(block_info=None):
        start, stop = block_info[None]["array-location"][0]
        noise = np.random.default_rng(start).normal(size=(stop - start, d))
        return (centres[np.arange(start, stop) % k] + noise).astype(np.float32)

    chunks = (n // parts,) * parts
    X = da.map_blocks(rows, chunks=(chunks, (d,)), dtype=np.float32, meta=np.zeros((0, d), np.float32))
    y = da.map_blocks(lambda block_info=None: labels(block_info, k), chunks=(chunks,), dtype=np.int64, meta=np.zeros(0, np.int64))
    return X, y


def main():
    """A line for each size."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--scheduler")
    parser.add_argument("--sizes", default="40x100x10,200000x100x10,100000x1000x10,40000x10000x10")
    options = parser.parse_args()
    cluster = options.scheduler or LocalCluster(n_workers=options.workers, threads_per_worker=1, dashboard_address=":0")
    with Client(cluster) as client:
        print("rows x features x classes | partitions | rounds | gap | hot rows | MB a round | seconds | seconds a round")
        for size in options.sizes.split(","):
            n, d, k = map(int, size.split("x"))
            X, y = client.persist(problem(n, d, k, 4))
            seen = []
            model = SVMClassifier(C=1.0 / k if n > 1000 else 1e4, tol=1e-3 if n > 1000 else 1e-9, max_iter=40, callback=seen.append)
            start = time.perf_counter()
            model.fit(X, y)
            seconds = time.perf_counter() - start
            rounds = [(b["seconds"] - a["seconds"], b["bytes"] - a["bytes"]) for a, b in zip(seen, seen[1:], strict=False)]
            spent, sent = np.median(rounds, axis=0)
            print(f"{size} | 4 | {model.rounds_} | {model.gap_:.1e} | {seen[-1]['hot_rows']} | {sent / 1e6:.2f} | {seconds:.2f} | {spent:.3f}", flush=True)


if __name__ == "__main__":
    main()
