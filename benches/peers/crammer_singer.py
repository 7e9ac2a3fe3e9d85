"""Crammer-Singer on one thread: burn-svm beside LIBLINEAR, by the same objective.

    pip install numpy scipy liblinear-official
    python3 benches/peers/crammer_singer.py [--program target/release/burn-svm] [--only TEXT] [--rounds 3] [--csv FILE]

Both minimise ½‖W‖² + C Σ loss with a bias feature of 1 (`-s 4 -B 1`); one NumPy evaluator in f64 computes both objectives from the
weights. LIBLINEAR runs with its default tolerance (0.1) and tighter ones; burn-svm with relative gaps of 1e-2 to 1e-4. Seconds are
those of the solver alone, reading excluded, the median of the rounds. `excess` is (F − F*)/F*, `of F(0)` (F − F*)/(F(0) − F*), with
F* from the best dual bound of burn-svm.
"""

import argparse, csv, gzip, json, pathlib, statistics, subprocess, tempfile, time
import numpy as np
from liblinear.liblinearutil import problem, parameter, train
from scipy.sparse import csr_matrix

DATA = pathlib.Path("data")


def idx(name):
    raw = gzip.open(DATA / "mnist" / name).read()
    return np.frombuffer(raw, np.uint8, offset=16 if b"images" in name.encode() else 8)


def mnist():
    return csr_matrix(idx("train-images-idx3-ubyte.gz").reshape(-1, 784) / 255.0), idx("train-labels-idx1-ubyte.gz")


def cifar_small():
    raw = np.fromfile(DATA / "cifar-10-batches-bin" / "data_batch_1.bin", np.uint8).reshape(-1, 3073)[:8000]
    x = raw[:, 1:].astype(np.float64)
    return csr_matrix((x - x.mean(0)) / 255.0), raw[:, 0]


def text(name, scale=1.0):
    import bz2

    rows, columns, values, labels = [], [], [], []
    open_ = bz2.open if name.endswith("bz2") else open
    for i, line in enumerate(open_(DATA / "libsvm" / name, "rt")):
        label, *cells = line.split()
        labels.append(int(float(label)))
        for cell in cells:
            j, v = cell.split(":")
            rows.append(i), columns.append(int(j) - 1), values.append(float(v) * scale)
    return csr_matrix((values, (rows, columns)), shape=(len(labels), max(columns) + 1)), np.array(labels)


SETS = [
    ("mnist", mnist, 0.01),
    ("mnist", mnist, 0.1),
    ("cifar-8000", cifar_small, 0.001),
    ("letter", lambda: text("letter.scale"), 1.0),
    ("pendigits/100", lambda: text("pendigits", 0.01), 1.0),
    ("news20", lambda: text("news20-bydate.bz2"), 1.0),
]


def objective(x, y, w, c):
    """w: [n_features + 1, n_classes], columns in the order of the sorted labels."""
    scores = np.asarray(x @ w[:-1]) + w[-1]
    label = np.searchsorted(np.unique(y), y)
    own = scores[np.arange(len(y)), label]
    margins = 1 + scores - own[:, None]
    margins[np.arange(len(y)), label] = 0
    return 0.5 * (w**2).sum() + c * margins.max(1).sum()


def liblinear(x, y, c, eps):
    task = problem(y.astype(float), x, bias=1)
    start = time.perf_counter()
    model = train(task, parameter(f"-s 4 -c {c} -e {eps} -B 1 -q"))
    seconds = time.perf_counter() - start
    k, d = model.get_nr_class(), x.shape[1] + 1
    w = np.ctypeslib.as_array(model.w, (d * k,)).reshape(d, k).copy()
    return seconds, w[:, np.argsort(model.get_labels())]


def burn(program, folder, x, y, c, gap, threads):
    config = f"""
[data.libsvm]
train = "{folder}/rows.txt"
[objective]
c = {c}
[loss.crammer_singer]
[solver.dual]
gap = {gap}
epochs = 100000
"""
    if not (folder / "rows.txt").exists():
        with open(folder / "rows.txt", "w") as out:
            for i in range(x.shape[0]):
                row = slice(x.indptr[i], x.indptr[i + 1])
                order = np.argsort(x.indices[row])
                cells = zip(x.indices[row][order], x.data[row][order])
                out.write(f"{y[i]} " + " ".join(f"{j + 1}:{v:.9g}" for j, v in cells) + "\n")
    (folder / "c.toml").write_text(config)
    command = [program, "train", folder / "c.toml", "--out", folder / "run", "--force", "--json", "--quiet", "--threads", threads]
    result = json.loads(subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, check=True).stdout)
    subprocess.run([program, "export", folder / "run", "--to", "npz", folder / "m.npz"], check=True, stderr=subprocess.DEVNULL)
    m = np.load(folder / "m.npz")
    names = [int(float(name)) for name in m["classes"]]
    w = np.vstack([m["weight"], m["bias"]])[:, np.argsort(names)]
    d = x.shape[1]
    if w.shape[0] - 1 < d:
        w = np.vstack([w[:-1], np.zeros((d - w.shape[0] + 1, w.shape[1])), w[-1:]])
    return result, w


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--program", default="target/release/burn-svm")
    options.add_argument("--only", default="")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--threads", type=int, nargs="*", default=[1])
    options.add_argument("--eps", type=float, nargs="*", default=[0.1, 0.01, 0.001])
    options.add_argument("--gaps", type=float, nargs="*", default=[1e-2, 3e-3, 1e-3, 1e-4])
    options.add_argument("--csv")
    options = options.parse_args()
    table = []
    for name, load, c in SETS:
        if options.only not in f"{name} {c}":
            continue
        x, y = load()
        zero = c * len(y)
        runs = {}
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            best, _ = burn(options.program, folder, x, y, c, min(options.gaps) / 20, max(options.threads))
            optimum = best["dual_objective"] * c * len(y)
            for _ in range(options.rounds):
                for eps in options.eps:
                    seconds, w = liblinear(x, y, c, eps)
                    runs.setdefault(("liblinear", 1, eps), []).append((seconds, objective(x, y, w, c)))
                for threads in options.threads:
                    for gap in options.gaps:
                        result, w = burn(options.program, folder, x, y, c, gap, threads)
                        runs.setdefault(("burn-svm", threads, gap), []).append((result["seconds_solve"], objective(x, y, w, c)))
        for (program, threads, tolerance), found in runs.items():
            seconds = statistics.median(s for s, _ in found)
            f = found[0][1]
            row = [name, c, program, threads, tolerance, f"{seconds:.3f}", f"{(f - optimum) / optimum:.1e}", f"{(f - optimum) / (zero - optimum):.1e}"]
            table.append(row)
            print("{:14} C {:<6} {:10} {} thread(s) tolerance {:<7g} {:>8} s  excess {}  of F(0) {}".format(*row), flush=True)
    if options.csv:
        with open(options.csv, "w", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(["set", "c", "program", "threads", "tolerance", "seconds", "excess", "excess_of_zero"])
            writer.writerows(table)


if __name__ == "__main__":
    main()
