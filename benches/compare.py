"""Two builds of the program side by side: medians of solving, evaluating, both together, and memory.

    python benches/compare.py BEFORE AFTER [--runs 7] CONFIG...

BEFORE and AFTER are binaries, CONFIG configurations. Runs alternate, so that what else the machine does meets both.
"""

import argparse
import json
import statistics
import subprocess
import tempfile

KEYS = ["solve", "evaluate", "together", "MB"]


def run(binary, config):
    with tempfile.TemporaryDirectory() as folder:
        command = [binary, "train", config, "--out", f"{folder}/run", "--quiet", "--json"]
        result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    solve, evaluate = result["seconds_solve"], result["seconds_evaluate"]
    return [solve, evaluate, solve + evaluate, result["peak_rss_bytes"] / 1e6], result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before")
    parser.add_argument("after")
    parser.add_argument("configs", nargs="+")
    parser.add_argument("--runs", type=int, default=7)
    arguments = parser.parse_args()
    binaries = [arguments.before, arguments.after]
    for config in arguments.configs:
        figures = [[], []]
        for _ in range(arguments.runs):
            for binary, found in zip(binaries, figures):
                found.append(run(binary, config))
        medians = [[statistics.median(f[0][i] for f in found) for i in range(len(KEYS))] for found in figures]
        print(config)
        for name, before, after in zip(KEYS, *medians):
            print(f"  {name:<9} {before:9.3f} {after:9.3f}   {after / before if before else float('nan'):.2f}x")
        gaps = [found[-1][1]["relative_gap"] for found in figures]
        if None not in gaps:
            print(f"  gap       {gaps[0]:9.2e} {gaps[1]:9.2e}")


if __name__ == "__main__":
    main()
