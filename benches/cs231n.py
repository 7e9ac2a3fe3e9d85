#!/usr/bin/env python3
"""The CS231n run, end to end: burn-svm beside the same recipe in NumPy and PyTorch, interleaved in one go.

    cargo build --release
    python3 benches/cs231n.py [--burn-svm PATH] [--data DIR] [--rounds N] [--only TEXT] [--csv FILE]

Needs NumPy; PyTorch joins where it can be imported. Recipe: CIFAR-10, 49,000 training images, raw pixels minus the mean image,
column of ones, Weston-Watkins, reg 2.5e4, 1,500 steps of 200 rows drawn with replacement, learning rate 1e-7. Every contestant
is a process of its own, with as many threads as it is told; steps/s count the steps only (drawing and gathering rows,
gradient, update, the losses that are logged), never loading or evaluation. See benches/README.md.
"""

import argparse
import csv
import datetime
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

REG, RATE, BATCH, STEPS, LOG_EVERY = 2.5e4, 1e-7, 200, 1500, 100
HERE = pathlib.Path(__file__).resolve()
ROOT = HERE.parent.parent
# What the others are compared with, each on one thread: the notebook's own code, and the fastest arrangement found.
BASES = [("numpy-f32 notebook", 1), ("numpy-f32", 1)]


# ---- the recipe in NumPy and PyTorch -------------------------------------------------------------------------------------


def load(folder):
    """Training rows as bytes [49000, 3072] with labels, validation and test likewise."""
    import numpy as np

    def read(name):
        raw = np.fromfile(os.path.join(folder, name), dtype=np.uint8).reshape(-1, 3073)
        return raw[:, 1:], raw[:, 0].astype(np.int64)

    parts = [read(f"data_batch_{i}.bin") for i in range(1, 6)]
    x, y = np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
    return (x[:49000], y[:49000]), (x[49000:], y[49000:]), read("test_batch.bin")


def with_ones(x, mean, dtype):
    """Centred rows with a column of ones, as the notebook makes them: once, before the run."""
    import numpy as np

    out = np.empty((len(x), 3073), dtype)
    np.subtract(x, mean, out=out[:, :-1], casting="unsafe")
    out[:, -1] = 1
    return out


def numpy_run(data, dtype, seed):
    import numpy as np

    (x, y), validation, test = data
    mean = x.mean(axis=0, dtype=np.float64)
    x = with_ones(x, mean, dtype)
    rng = np.random.default_rng(seed)
    # W lies transposed, [10, 3073]: both products then read rows of X in order and nothing is copied. The fastest layout found.
    wt = (1e-3 * rng.standard_normal((10, 3073))).astype(dtype)
    rows = np.arange(BATCH)
    xb, scores, dwt = np.empty((BATCH, 3073), dtype), np.empty((BATCH, 10), dtype), np.empty((10, 3073), dtype)
    decay, rate = dtype(1 - 2 * RATE * REG), dtype(RATE / BATCH)
    losses, start = [], time.perf_counter()
    for step in range(STEPS):
        batch = rng.integers(0, len(x), BATCH)
        np.take(x, batch, axis=0, out=xb, mode="clip")
        yb = y[batch]
        np.dot(xb, wt.T, out=scores)
        scores -= scores[rows, yb][:, None] - dtype(1)
        scores[rows, yb] = 0
        if step % LOG_EVERY == 0 or step == STEPS - 1:
            losses.append(float(np.maximum(scores, 0).sum() / BATCH + REG * np.square(wt).sum()))
        q = (scores > 0).astype(dtype)
        q[rows, yb] = -q.sum(axis=1)
        np.dot(q.T, xb, out=dwt)
        # The gradient is dwt / BATCH + 2 * REG * wt.
        wt *= decay
        dwt *= rate
        wt -= dwt
    seconds = time.perf_counter() - start

    def accuracy(part):
        return float((with_ones(part[0], mean, dtype).dot(wt.T).argmax(axis=1) == part[1]).mean())

    return {"seconds": seconds, "losses": losses, "validation": accuracy(validation), "test": accuracy(test)}


def notebook_run(data, seed):
    """The notebook's own vectorised solution, in float32."""
    import numpy as np

    (x, y), validation, test = data
    mean = x.mean(axis=0, dtype=np.float64)
    x = with_ones(x, mean, np.float32)
    rng = np.random.default_rng(seed)
    w = (1e-3 * rng.standard_normal((3073, 10))).astype(np.float32)
    rows = np.arange(BATCH)
    losses, start = [], time.perf_counter()
    for step in range(STEPS):
        batch = rng.choice(len(x), BATCH)
        xb, yb = x[batch], y[batch]
        scores = xb.dot(w)
        margins = np.maximum(0, scores - scores[rows, yb][:, None] + 1)
        margins[rows, yb] = 0
        loss = margins.sum() / BATCH + REG * np.sum(w * w)
        counts = (margins > 0).astype(np.float32)
        counts[rows, yb] = -counts.sum(axis=1)
        gradient = xb.T.dot(counts) / BATCH + np.float32(2 * REG) * w
        w -= np.float32(RATE) * gradient
        if step % LOG_EVERY == 0 or step == STEPS - 1:
            losses.append(float(loss))
    seconds = time.perf_counter() - start

    def accuracy(part):
        return float((with_ones(part[0], mean, np.float32).dot(w).argmax(axis=1) == part[1]).mean())

    return {"seconds": seconds, "losses": losses, "validation": accuracy(validation), "test": accuracy(test)}


def torch_run(data, seed):
    import numpy as np
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    (x, y), validation, test = data
    mean = x.mean(axis=0, dtype=np.float64)
    x, y = torch.from_numpy(with_ones(x, mean, np.float32)), torch.from_numpy(y)
    g = torch.Generator().manual_seed(seed)
    w = (1e-3 * torch.randn(3073, 10, generator=g)).requires_grad_()
    losses, start = [], time.perf_counter()
    for step in range(STEPS):
        batch = torch.randint(0, len(x), (BATCH,), generator=g)
        xb, yb = x[batch], y[batch]
        data_loss = torch.nn.functional.multi_margin_loss(xb @ w, yb, reduction="sum") * (10 / BATCH)
        loss = data_loss + REG * (w * w).sum()
        loss.backward()
        if step % LOG_EVERY == 0 or step == STEPS - 1:
            losses.append(loss.item())
        with torch.no_grad():
            w.sub_(w.grad, alpha=RATE)
        w.grad = None
    seconds = time.perf_counter() - start

    def accuracy(part):
        return float((with_ones(part[0], mean, np.float32).dot(w.detach().numpy()).argmax(axis=1) == part[1]).mean())

    return {"seconds": seconds, "losses": losses, "validation": accuracy(validation), "test": accuracy(test)}


def contestant(kind, folder, seed):
    import numpy as np

    data = load(folder)
    run = {"numpy-f32": lambda: numpy_run(data, np.float32, seed), "numpy-f64": lambda: numpy_run(data, np.float64, seed),
           "numpy-f32 notebook": lambda: notebook_run(data, seed)}
    print(json.dumps(run[kind]() if kind in run else torch_run(data, seed)))


# ---- the rounds ----------------------------------------------------------------------------------------------------------


def run_python(kind, threads, folder, seed):
    env = dict(os.environ)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        env[name] = str(threads)
    start = time.perf_counter()
    out = subprocess.run([sys.executable, str(HERE), "--contestant", kind, "--data", folder, "--seed", str(seed)],
                         env=env, check=True, capture_output=True, text=True).stdout
    result = json.loads(out)
    return {"seconds": result["seconds"], "wall": time.perf_counter() - start,
            "loss": result["losses"][-1], "validation": result["validation"], "test": result["test"]}


def run_burn(binary, device, gradient, threads, folder, seed):
    with tempfile.TemporaryDirectory() as out:
        start = time.perf_counter()
        text = subprocess.run(
            [binary, "train", str(ROOT / "configs/cs231n.toml"), "--device", device, "--threads", str(threads), "--out", out + "/run",
             "--quiet", "--json", "--set", f"gradient={gradient}", "--set", f"data.cifar.dir={folder}", "--set", f"seed={seed}"],
            check=True, capture_output=True, text=True).stdout
        wall = time.perf_counter() - start
        with open(out + "/run/metrics.csv", newline="") as file:
            losses = [float(row["loss"]) for row in csv.DictReader(file) if row["loss"]]
    result = json.loads(text)
    return {"seconds": result["seconds_solve"], "wall": wall, "loss": losses[-1],
            "validation": result["validation_accuracy"], "test": result["test_accuracy"]}


def cpu_model():
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return "unknown processor"


def main():
    target = os.environ.get("CARGO_TARGET_DIR", str(ROOT / "target"))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--burn-svm", default=os.path.join(target, "release", "burn-svm"))
    parser.add_argument("--data", default=str(ROOT / "data/cifar-10-batches-bin"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slow-rounds", type=int, default=2, help="rounds of ndarray, which takes ten times as long")
    parser.add_argument("--only", default="", help="only contestants whose name holds this text, beside NumPy f32 on one thread")
    parser.add_argument("--csv", help="append every single run to this file")
    parser.add_argument("--contestant", help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.contestant:
        return contestant(args.contestant, args.data, args.seed)

    cores = len(os.sched_getaffinity(0))
    counts = [1] if cores == 1 else [1, cores]
    runs = {}
    for threads in counts:
        for gradient in ("autodiff", "analytic", "fused"):
            runs[f"burn-svm flex {gradient}", threads] = lambda s, g=gradient, t=threads: run_burn(args.burn_svm, "flex", g, t, args.data, s)
    runs["burn-svm ndarray autodiff", cores] = lambda s: run_burn(args.burn_svm, "ndarray", "autodiff", cores, args.data, s)
    for kind in ("numpy-f32 notebook", "numpy-f32", "numpy-f64"):
        for threads in counts:
            runs[kind, threads] = lambda s, k=kind, t=threads: run_python(k, t, args.data, s)
    if subprocess.run([sys.executable, "-c", "import torch"], capture_output=True).returncode == 0:
        for threads in counts:
            runs["pytorch-f32", threads] = lambda s, t=threads: run_python("pytorch-f32", t, args.data, s)

    runs = {key: run for key, run in runs.items() if args.only in key[0] or key in BASES}

    date, model = datetime.date.today().isoformat(), cpu_model()
    results, rows = {key: [] for key in runs}, []
    for round_ in range(args.rounds):
        for key, run in runs.items():
            if "ndarray" in key[0] and round_ >= args.slow_rounds:
                continue
            load_before = os.getloadavg()[0]
            result = run(round_)
            results[key].append(result)
            rows.append([date, model, cores, key[0], key[1], round_, f"{STEPS / result['seconds']:.1f}", f"{result['seconds']:.3f}",
                         f"{result['wall']:.3f}", f"{result['loss']:.4f}", result["validation"], result["test"], f"{load_before:.2f}"])
            print(f"round {round_ + 1}: {key[0]}, {key[1]} threads: {STEPS / result['seconds']:.0f} steps/s", file=sys.stderr)
    if args.csv:
        new = not os.path.exists(args.csv)
        with open(args.csv, "a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow("date processor cores what threads seed steps_per_second seconds_solve seconds_wall last_loss "
                                "validation_accuracy test_accuracy load_average".split())
            writer.writerows(rows)

    def median(key, name):
        return statistics.median(r[name] for r in results[key])

    notebook, tuned = (STEPS / median(key, "seconds") for key in BASES)
    print(f"{model}, {cores} cores; {STEPS} steps of {BATCH}; medians of {args.rounds} rounds (ndarray {args.slow_rounds})\n")
    print("| what | threads | steps/s | (min-max) | to the notebook's NumPy f32 | to tuned NumPy f32 | solve s | end to end s | test |")
    print("|---|---|---|---|---|---|---|---|---|")
    for key, found in results.items():
        speeds = [STEPS / r["seconds"] for r in found]
        speed = STEPS / median(key, "seconds")
        print(f"| {key[0]} | {key[1]} | {speed:.0f} | {min(speeds):.0f}-{max(speeds):.0f} | {speed / notebook:.2f} | {speed / tuned:.2f} "
              f"| {median(key, 'seconds'):.2f} | {median(key, 'wall'):.2f} | {median(key, 'test'):.4f} |")


if __name__ == "__main__":
    main()
