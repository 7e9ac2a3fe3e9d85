#!/usr/bin/env python3
"""A full pass over CIFAR-10's shape, loss and gradient, and steps of 200 rows: the fused route beside PyTorch, turn by turn.

    cargo build --release --benches [--features cuda]
    python3 benches/fused.py [--rounds N] [--threads N] [--device cuda|wgpu|wgpu:cpu] [--rows N]

PyTorch computes the Weston-Watkins hinge with autograd over float32 rows that lie in memory, in the fastest of several batch
sizes. Without `--device` both compute on the processor. With it, which is the one call to make on a machine with a GPU, the bench
`device` measures small steps, steps of 200 rows and a full pass by every route on that device of burn-svm, and PyTorch, where it is
there, the same on its GPU (on the processor where it has none), waiting for the device after each pass.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import time

try:
    import torch
except ImportError:
    torch = None

D, K = 3_072, 10


def binary(name):
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target"))
    found = [p for p in (target / "release" / "deps").glob(f"{name}-*") if p.suffix == "" and os.access(p, os.X_OK)]
    if not found:
        raise SystemExit("no benchmark: cargo build --release --benches")
    return max(found, key=lambda p: p.stat().st_mtime)


def hinge(w, b, x, y):
    scores = x @ w + b
    margins = (scores - scores.gather(1, y[:, None]) + 1.0).clamp(min=0.0)
    return margins.scatter(1, y[:, None], 0.0).sum() / len(y)


class Torch:
    """The contestant: weights, rows and labels on a device of PyTorch's."""

    def __init__(self, device, n):
        torch.manual_seed(0)
        self.device = device
        self.x = (torch.randint(0, 256, (n, D), dtype=torch.uint8).float() - 127.5).to(device)
        self.y = torch.randint(0, K, (n,), device=device)
        self.w = (1e-3 * torch.randn(D, K)).to(device).requires_grad_()
        self.b = torch.zeros(K, device=device, requires_grad=True)
        sizes = sorted({size for size in (500, 2_000, 10_000, n) if size <= n})
        times = {size: [self.one_pass(size) for _ in range(3)][1:] for size in sizes}
        self.best = min(sizes, key=lambda size: min(times[size]))

    def wait(self):
        if self.device == "cuda":
            torch.cuda.synchronize()

    def one_pass(self, batch):
        """Milliseconds of a gradient over all rows."""
        self.wait()
        start = time.perf_counter()
        for at in range(0, len(self.y), batch):
            hinge(self.w, self.b, self.x[at : at + batch], self.y[at : at + batch]).backward()
        self.wait()
        self.w.grad = self.b.grad = None
        return 1e3 * (time.perf_counter() - start)

    def steps(self, count, batch=200):
        """Milliseconds of a step: rows drawn and gathered on the device, gradient with the penalty, update."""
        optimizer = torch.optim.SGD([self.w, self.b], lr=1e-7)
        self.wait()
        start = time.perf_counter()
        for _ in range(count):
            rows = torch.randint(0, len(self.y), (batch,), device=self.device)
            loss = hinge(self.w, self.b, self.x[rows], self.y[rows])
            optimizer.zero_grad()
            (loss + 5e-4 * ((self.w * self.w).sum() + (self.b * self.b).sum())).backward()
            optimizer.step()
        self.wait()
        return 1e3 * (time.perf_counter() - start) / count


def ours(path, threads):
    """The rows of the table for CIFAR-10: route, median ms, times the fused pass, times the floor."""
    command = [path, "--rounds", "5", "--only", "CIFAR", "--threads", str(threads)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[2:]
    rows = [line[24:].split() for line in lines]
    return {row[0]: (float(row[1]), float(row[5])) for row in rows}


def on_processor(args):
    path, rival = binary("fused"), Torch("cpu", 49_000)
    print(f"PyTorch {torch.__version__} on cpu, {args.threads} threads, batches of {rival.best}")
    found = {"pytorch": [], "fused": [], "autodiff": [], "analytic": [], "floor": [], "ratio": []}
    for _ in range(args.rounds):
        theirs = statistics.median(rival.one_pass(rival.best) for _ in range(3))
        rows = ours(path, args.threads)
        found["pytorch"].append(theirs)
        for name, (time_of, _) in rows.items():
            found[name].append(time_of)
        found["floor"].append(rows["fused"][1])
        found["ratio"].append(theirs / rows["fused"][0])
    for name in ["pytorch", "fused", "autodiff", "analytic"]:
        print(f"{name:<9} {statistics.median(found[name]):8.2f} ms a pass")
    print(f"pytorch over fused: {statistics.median(found['ratio']):.2f}; fused over the floor: {statistics.median(found['floor']):.2f}")


def on_device(args):
    command = [binary("device"), "--device", args.device, "--rounds", str(args.rounds), "--rows", str(args.rows)]
    table = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    print(table, end="")
    if torch is None:
        print("PyTorch is not here")
        return
    rival = Torch("cuda" if torch.cuda.is_available() else "cpu", args.rows)
    name = torch.cuda.get_device_name() if rival.device == "cuda" else f"the processor, {args.threads} threads"
    rival.steps(20)
    step = statistics.median(rival.steps(200) for _ in range(args.rounds))
    a_pass = statistics.median(rival.one_pass(rival.best) for _ in range(args.rounds))
    print(f"PyTorch {torch.__version__} on {name}, a pass in batches of {rival.best}")
    for what, theirs in [("steps of 200 rows x 3,072", step), (f"a pass over {args.rows} rows", a_pass)]:
        fused = next(line for line in table.splitlines() if line.startswith(what) and " fused " in line)
        mine = float(fused[len(what) :].split()[-3])
        print(f"{what:<28} pytorch   {theirs:>10.3f} {1e3 / theirs:>12.1f} {theirs / mine:>8.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", default="cpu", help="cpu, or a GPU device of burn-svm: wgpu, wgpu:0, wgpu:cpu, vulkan, cuda")
    parser.add_argument("--rows", type=int, default=49_000, help="fewer for a software adapter")
    args = parser.parse_args()
    if torch is not None:
        torch.set_num_threads(args.threads)
    if args.device != "cpu":
        return on_device(args)
    if torch is None:
        raise SystemExit("PyTorch is not here: pip install torch")
    return on_processor(args)


main()
