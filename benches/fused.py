#!/usr/bin/env python3
"""A full pass over CIFAR-10's shape, loss and gradient: the fused pass beside PyTorch, turn by turn.

    cargo build --release --benches
    python3 benches/fused.py [--rounds N] [--threads N] [--device cuda]

PyTorch computes the Weston-Watkins hinge with autograd over float32 rows that lie in memory, in the fastest of several batch
sizes. With `--device cuda` (or any device of PyTorch's) it computes there, waiting for the device after each pass, and steps of a
batch of 200 are timed too: the one call to make on a machine with a GPU, beside `cargo bench --bench step -- --device cuda`.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import time

import torch

N, D, K = 49_000, 3_072, 10


def binary():
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target"))
    found = [p for p in (target / "release" / "deps").glob("fused-*") if p.suffix == "" and os.access(p, os.X_OK)]
    if not found:
        raise SystemExit("no benchmark: cargo build --release --benches")
    return max(found, key=lambda p: p.stat().st_mtime)


def hinge(w, b, x, y):
    scores = x @ w + b
    margins = (scores - scores.gather(1, y[:, None]) + 1.0).clamp(min=0.0)
    return margins.scatter(1, y[:, None], 0.0).sum() / len(y)


def one_pass(w, b, x, y, batch):
    start = time.perf_counter()
    for at in range(0, len(y), batch):
        hinge(w, b, x[at : at + batch], y[at : at + batch]).backward()
    if w.device.type == "cuda":
        torch.cuda.synchronize()
    w.grad = b.grad = None
    return 1e3 * (time.perf_counter() - start)


def ours(path, threads):
    """The rows of the table for CIFAR-10: route, median ms, times the fused pass, times the floor."""
    command = [path, "--rounds", "5", "--only", "CIFAR", "--threads", str(threads)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[2:]
    rows = [line[24:].split() for line in lines]
    return {row[0]: (float(row[1]), float(row[5])) for row in rows}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    path = binary()
    torch.manual_seed(0)
    x = (torch.randint(0, 256, (N, D), dtype=torch.uint8).float() - 127.5).to(args.device)
    y = torch.randint(0, K, (N,), device=args.device)
    w = (1e-3 * torch.randn(D, K)).to(args.device).requires_grad_()
    b = torch.zeros(K, device=args.device, requires_grad=True)
    sizes = [500, 2_000, 10_000, N]
    times = {size: [one_pass(w, b, x, y, size) for _ in range(3)][1:] for size in sizes}
    best = min(sizes, key=lambda size: min(times[size]))
    print(f"PyTorch {torch.__version__} on {args.device}, {args.threads} threads, batches of {best}")
    found = {"pytorch": [], "fused": [], "autodiff": [], "analytic": [], "floor": [], "ratio": []}
    for _ in range(args.rounds):
        theirs = statistics.median(one_pass(w, b, x, y, best) for _ in range(3))
        rows = ours(path, args.threads)
        found["pytorch"].append(theirs)
        for name, (time_of, _) in rows.items():
            found[name].append(time_of)
        found["floor"].append(rows["fused"][1])
        found["ratio"].append(theirs / rows["fused"][0])
    for name in ["pytorch", "fused", "autodiff", "analytic"]:
        print(f"{name:<9} {statistics.median(found[name]):8.2f} ms a pass")
    print(f"pytorch over fused: {statistics.median(found['ratio']):.2f}; fused over the floor: {statistics.median(found['floor']):.2f}")
    if args.device != "cpu":
        step = statistics.median(one_pass(w, b, x[:200], y[:200], 200) for _ in range(200))
        print(f"pytorch, steps of 200 rows: {1e3 / step:.0f} a second")


main()
