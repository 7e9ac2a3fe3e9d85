"""What the exact solver costs against rows, features and classes, and whether that grows linearly.

    pip install numpy
    python3 benches/growth.py [--program target/release/burn-svm] [--threads 1] [--rounds 3] [--csv FILE]

Rows of Gaussian clusters in float32, Weston-Watkins, C = 1/n_features, five epochs in single precision over all rows (the gap asked for is out of
reach, so that no row sleeps for long). Seconds are those of the solver, the median of the rounds; a visit is a row solved once.
The last line solves 20,000 rows of 1,000 classes to a gap of 1e-3.
"""

import argparse, csv, json, pathlib, statistics, subprocess, tempfile
import numpy as np

SHAPES = (
    [("rows", n, 256, 10) for n in (5_000, 10_000, 20_000, 40_000)]
    + [("features", 8_000, d, 10) for d in (16, 64, 256, 1024, 4096)]
    + [("classes", 4_000, 256, k) for k in (2, 10, 100, 1000)]
)


def clusters(n, d, k, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % k
    centers = rng.normal(size=(k, d)).astype(np.float32)
    return 0.3 * centers[y] + rng.normal(size=(n, d)).astype(np.float32), y


def solve(program, folder, shape, threads, solver):
    n, d, k = shape
    x, y = clusters(n, d, k)
    np.savez(folder / "data.npz", x=x.astype(np.float32), y=y)
    (folder / "c.toml").write_text(
        f'threads = {threads}\n[data.npy]\ntrain = "{folder}/data.npz"\n[objective]\nc = {1 / d}\n[loss.weston_watkins]\n[solver.dual]\n{solver}\n'
    )
    command = [program, "train", folder / "c.toml", "--out", folder / "run", "--force", "--json", "--quiet"]
    return json.loads(subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, check=True).stdout)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--program", default="target/release/burn-svm")
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--csv")
    options = options.parse_args()
    table = []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for what, *shape in SHAPES:
            runs = []
            for _ in range(options.rounds):
                runs.append(solve(options.program, folder, shape, options.threads, 'gap = 1e-7\nepochs = 5\nprecision = "f32"'))
            visits = runs[0]["epochs"] * shape[0]
            seconds = statistics.median(run["seconds_solve"] for run in runs)
            row = [what, *shape, f"{seconds:.3f}", f"{1e6 * seconds / visits:.2f}", runs[0]["peak_rss_bytes"] >> 20]
            table.append(row)
            print("{:9} {:>6} rows {:>5} features {:>5} classes {:>8} s {:>7} us a visit {:>5} MB".format(*row), flush=True)
        run = solve(options.program, folder, (20_000, 64, 1000), options.threads, "gap = 1e-3")
        print(f"20,000 rows, 64 features, 1,000 classes: {run['stop_reason']} {run['relative_gap']:.1e} in {run['seconds_solve']:.1f} s,"
              f" {run['epochs']:.1f} epochs, {run['peak_rss_bytes'] >> 20} MB")
    if options.csv:
        with open(options.csv, "w", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(["grows", "rows", "features", "classes", "seconds", "us_a_visit", "peak_mb"])
            writer.writerows(table)


if __name__ == "__main__":
    main()
