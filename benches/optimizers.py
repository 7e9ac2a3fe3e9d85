#!/usr/bin/env python3
"""Every optimiser on MNIST with the configuration that is stated for it: test accuracy and steps per second.

    cargo build --release
    python3 benches/optimizers.py [--burn-svm PATH] [--config FILE] [--rounds N] [--only TEXT] [--csv FILE]

Each run is configs/mnist.toml with the --set options of RUNS below and nothing else, in a process of its own; the rounds are
interleaved. Prints the table of docs/optimizers.md, the medians of the rounds. Exit code 1 where a run ends below ACCURACY.
Python's standard library is enough. See benches/README.md.
"""

import argparse
import csv
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
ACCURACY = 0.915
# The stated configuration of each: what is set besides configs/mnist.toml (batches of 100, 10 epochs, linear decay).
RUNS = [
    ("sgd", {"learning_rate": 0.05}),
    ("momentum", {"learning_rate": 0.005}),
    ("nesterov", {"learning_rate": 0.005}),
    ("adam", {"learning_rate": 0.001}),
    ("adamw", {"learning_rate": 0.001}),
    ("rmsprop", {"learning_rate": 0.001}),
    ("adagrad", {"learning_rate": 0.05}),
    ("lion", {"learning_rate": 0.0003}),
    ("adan", {"learning_rate": 0.001}),
    ("lamb", {"learning_rate": 0.01}),
    ("adafactor", {"learning_rate": 0.05}),
    ("muon", {"learning_rate": 0.003}),
]


def assignments(name, options):
    """The --set options of a run, in the order in which they are printed."""
    keys = {"optimizer": name, **options}
    return [f"solver.sgd.{key}={value}" for key, value in keys.items()]


def train(program, config, sets, out):
    command = [program, "train", config, "--json", "--quiet", "--out", out]
    for assignment in sets:
        command += ["--set", assignment]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--burn-svm", default=str(ROOT / "target" / "release" / "burn-svm"))
    parser.add_argument("--config", default="configs/mnist.toml")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="")
    parser.add_argument("--csv", default=None)
    args = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(args.rounds):
            for name, options in RUNS:
                if args.only in name:
                    out = str(pathlib.Path(folder) / f"{name}-{turn}")
                    result = train(args.burn_svm, args.config, assignments(name, options), out)
                    results.setdefault(name, []).append(result)
    rows, failed = [], []
    for name, options in RUNS:
        if name not in results:
            continue
        rounds = results[name]
        accuracy = rounds[0]["test_accuracy"]
        rate = statistics.median(r["steps"] / r["seconds_solve"] for r in rounds)
        stated = ", ".join(f"{key} = {value}" for key, value in options.items())
        rows.append([name, stated, f"{accuracy:.4f}", f"{rounds[0]['objective']:.4f}", f"{rate:,.0f}"])
        if accuracy < ACCURACY:
            failed.append(f"{name}: {accuracy:.4f}")
    head = ["optimizer", "set", "test accuracy", "objective", "steps/s"]
    print("| " + " | ".join(head) + " |")
    print("|---" * len(head) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    if args.csv:
        with open(args.csv, "w", newline="") as file:
            csv.writer(file).writerows([head, *rows])
    if failed:
        sys.exit(f"below {ACCURACY}: " + "; ".join(failed))


if __name__ == "__main__":
    main()
