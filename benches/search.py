#!/usr/bin/env python3
"""The CS231n grid of 64: trained as one stacked model, one trial after another, and in NumPy; interleaved in one go.

    cargo build --release
    python3 benches/search.py [--burn-svm PATH] [--data DIR] [--rounds N] [--csv FILE]

Needs CIFAR-10 (binary version); NumPy joins where it can be imported. Every contestant is a process of its own. `wall` and `cpu` are of
the whole process, with loading and with measuring every trial on 5,000 training and 5,000 validation rows; the refit is left out.
NumPy runs the notebook's own code at four points of the grid, steps only, and its time is multiplied by 16. On a busy machine
compare the columns of CPU seconds.
"""

import argparse
import csv
import datetime
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve()
ROOT = HERE.parent.parent
CORNERS = [(1e-7, 2.5e4), (1e-7, 5e4), (1e-8, 1e2), (1e-6, 5e3)]
TRIALS, STEPS, BATCH, FEATURES, CLASSES = 64, 1500, 200, 3072, 10
FLOOR = TRIALS * STEPS * 2 * 2 * BATCH * FEATURES * CLASSES


def timed(command, env=None):
    """Standard output, wall seconds, CPU seconds and peak memory of a process."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with tempfile.TemporaryFile("w+") as out:
        child = subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE, text=True, env=env)
        _, errors = child.communicate()
        out.seek(0)
        text = out.read()
    if child.returncode != 0:
        sys.exit(f"{command}: {errors}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return text, time.perf_counter() - start, cpu


def search(binary, folder, sets):
    with tempfile.TemporaryDirectory() as out:
        arguments = [word for item in sets for word in ("--set", item)]
        text, wall, cpu = timed(
            [binary, "search", str(ROOT / "configs/search-cs231n.toml"), "--out", out + "/s", "--quiet", "--json",
             "--set", f"data.cifar.dir={folder}", "--set", "search.refit=false", *arguments])
    result = json.loads(text)
    best = result["standings"][0]
    return {"wall": wall, "cpu": cpu, "solve": sum(s["seconds"] for s in result["standings"]),
            "memory": result["peak_rss_bytes"] / 1e6, "best": best["score"], "trial": best["trial"]}


def numpy_corner(folder, index):
    sys.path.insert(0, str(HERE.parent))
    import cs231n

    cs231n.RATE, cs231n.REG = CORNERS[index]
    print(cs231n.notebook_run(cs231n.load(folder), 0)["seconds"])


def numpy(folder):
    env = dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
    seconds = []
    for index in range(len(CORNERS)):
        text, _, _ = timed([sys.executable, str(HERE), "--corner", str(index), "--data", folder], env)
        seconds.append(float(text))
    total = sum(seconds) * TRIALS / len(CORNERS)
    return {"wall": total, "cpu": total, "solve": total, "memory": float("nan"), "best": float("nan"), "trial": -1}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--burn-svm", default=str(ROOT / "target/release/burn-svm"))
    parser.add_argument("--data", default=str(ROOT / "data/cifar-10-batches-bin"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--csv")
    parser.add_argument("--only", default="")
    parser.add_argument("--corner", type=int)
    args = parser.parse_args()
    if args.corner is not None:
        return numpy_corner(args.data, args.corner)
    burn = lambda *sets: lambda: search(args.burn_svm, args.data, sets)
    contestants = {
        "stacked, fused": burn("gradient=fused"),
        "stacked, by hand": burn("gradient=analytic"),
        "stacked, autodiff": burn("gradient=autodiff"),
        "one by one, autodiff": burn("gradient=autodiff", "search.stacked=1"),
        "one by one, by hand": burn("gradient=analytic", "search.stacked=1"),
        "one by one, fused": burn("gradient=fused", "search.stacked=1"),
    }
    try:
        import numpy as _  # noqa: F401

        contestants["numpy notebook, 4 of 64"] = lambda: numpy(args.data)
    except ImportError:
        pass
    contestants = {name: run for name, run in contestants.items() if args.only in name}
    rows = []
    for round_number in range(args.rounds):
        for name, run in contestants.items():
            row = {"round": round_number, "contestant": name, "load": os.getloadavg()[0], **run()}
            rows.append(row)
            print(f"{round_number} {name:26} {row['wall']:7.1f} s, {row['cpu']:7.1f} s of CPU, load {row['load']:.1f}", file=sys.stderr, flush=True)
    print(f"| {TRIALS} trials of {STEPS} steps | wall, s | CPU, s | peak memory, MB | best validation accuracy |")
    print("|---|---|---|---|---|")
    for name in contestants:
        of = [r for r in rows if r["contestant"] == name]
        middle = lambda key: statistics.median(r[key] for r in of)
        print(f"| {name} | {middle('wall'):.1f} | {middle('cpu'):.1f} | {middle('memory'):.0f} | {middle('best'):.4f} |")
    print(f"\nThe products alone are {FLOOR / 1e12:.2f} Tflop.")
    if args.csv:
        with open(args.csv, "w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=["date", *rows[0]])
            writer.writeheader()
            for row in rows:
                writer.writerow({"date": datetime.date.today().isoformat(), **row})


if __name__ == "__main__":
    main()
