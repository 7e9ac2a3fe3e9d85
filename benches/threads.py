"""What more threads do for many narrow rows: epochs and seconds to a gap, and what one thread of them visits.

    pip install numpy
    python3 benches/threads.py [--program target/release/burn-svm] [--rows 1000000] [--features 100] [--classes 10] [--threads 1,2,16] [--gaps 1e-3,1e-5]
        [--rounds 3]

Normal numbers around one centre a class, centred and scaled, C = 0.01, three losses. Runs of different numbers of threads alternate; seconds are those of the solver
with its proof, the median of the rounds. More threads than cores take the steps that they would take with as many cores: the last column tells how far that
shares the visits out, whatever the seconds are.
"""

import argparse, json, pathlib, statistics, subprocess, tempfile
import numpy as np
from growth import clusters

LOSSES = ("weston_watkins", "crammer_singer", "one_vs_rest")


def run(program, folder, loss, gap, threads):
    (folder / "c.toml").write_text(
        f'threads = {threads}\n[data.npy]\ntrain = "{folder}/data.npz"\n[preprocess]\ncenter = "mean"\nscale = "std"\n'
        f"[objective]\nc = 0.01\n[loss.{loss}]\n[solver.dual]\ngap = {gap}\n"
    )
    command = [program, "train", folder / "c.toml", "--out", folder / "run", "--force", "--json", "--quiet"]
    return json.loads(subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, check=True).stdout)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--program", default="target/release/burn-svm")
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--features", type=int, default=100)
    options.add_argument("--classes", type=int, default=10)
    options.add_argument("--threads", default="1,2,16")
    options.add_argument("--gaps", default="1e-3,1e-5")
    options.add_argument("--rounds", type=int, default=3)
    options = options.parse_args()
    counts = [int(count) for count in options.threads.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        x, y = clusters(options.rows, options.features, options.classes)
        np.savez(folder / "data.npz", x=x, y=y)
        del x, y
        print(f"{'loss':15} {'gap':>6} {'threads':>7} {'epochs':>7} {'seconds':>8} {'times':>6} {'a thread visits':>16}")
        for loss in LOSSES:
            for gap in options.gaps.split(","):
                runs = {count: [] for count in counts}
                for _ in range(options.rounds):
                    for count in counts:
                        runs[count].append(run(options.program, folder, loss, gap, count))
                seconds = {count: statistics.median(run["seconds_solve"] for run in runs[count]) for count in counts}
                for count in counts:
                    epochs = runs[count][0]["epochs"]
                    share = epochs / count / runs[counts[0]][0]["epochs"]
                    print(f"{loss:15} {gap:>6} {count:>7} {epochs:>7.2f} {seconds[count]:>8.2f} {seconds[counts[0]] / seconds[count]:>6.2f} {share:>16.2f}", flush=True)


if __name__ == "__main__":
    main()
