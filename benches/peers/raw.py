"""Data as they come: burn-svm by its defaults beside LIBLINEAR, one thread, by the same objective.

    pip install numpy scipy scikit-learn liblinear-official
    python3 benches/peers/raw.py [--program target/release/burn-svm] [--data data] [--only TEXT] [--limit 30] [--csv FILE]

Tables of scikit-learn (iris, wine, breast cancer, digits) raw and centred, libsvm sets whose features are multiplied by 10^U(-3, 4), MNIST's
raw bytes and news20. Each line is a data set, a loss and C: seconds of the solver to a relative gap of 1e-3 and of 1e-6, and those of the
fastest LIBLINEAR run that lies as near the optimum: solvers 1, 2, 3 and 4 with tolerances from 0.1 to 1e-6, `-B 1`, each in a process of its
own with --limit seconds. `-` stands for a loss that LIBLINEAR does not have, `none` where no run comes so near.
"""

import argparse, bz2, csv, gzip, json, multiprocessing, pathlib, subprocess, tempfile, time
import numpy as np
from scipy.sparse import csr_matrix, issparse

LOSSES = {
    "ww": ("[loss.weston_watkins]\n", []),
    "ww2": ("[loss.weston_watkins]\npower = 2\n", []),
    "cs": ("[loss.crammer_singer]\n", [4]),
    "cs2": ("[loss.crammer_singer]\npower = 2\n", []),
    "ovr": ("[loss.one_vs_rest]\n", [3]),
    "ovr2": ("[loss.one_vs_rest]\npower = 2\n", [1, 2]),
}
TOLERANCES = [0.1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6]


def sklearn_set(name, centred):
    import sklearn.datasets as sets

    x, y = getattr(sets, f"load_{name}")(return_X_y=True)
    return (x - x.mean(0) if centred else x), y


def text(path, scaled):
    rows, columns, values, labels = [], [], [], []
    for i, line in enumerate((bz2.open if path.suffix == ".bz2" else open)(path, "rt")):
        label, *cells = line.split()
        labels.append(int(float(label)))
        for cell in cells:
            j, v = cell.split(":")
            rows.append(i), columns.append(int(j) - 1), values.append(float(v))
    x = csr_matrix((values, (rows, columns)), shape=(len(labels), max(columns) + 1))
    if scaled:
        x = x.toarray() * 10 ** np.random.default_rng(7).uniform(-3, 4, x.shape[1])
    return x, np.array(labels)


def mnist(data):
    idx = lambda name, skip: np.frombuffer(gzip.open(data / "mnist" / name).read(), np.uint8, offset=skip)
    return idx("train-images-idx3-ubyte.gz", 16).reshape(-1, 784), idx("train-labels-idx1-ubyte.gz", 8)


def problems(data):
    for name in ["iris", "wine", "breast_cancer"]:
        for centred in [False, True]:
            costs = [10.0**e for e in range(-3, 6)]
            yield f"{name}{' centred' if centred else ''}", lambda n=name, c=centred: sklearn_set(n, c), costs
    yield "digits", lambda: sklearn_set("digits", False), [1.0, 1e2, 1e4]
    for name in ["segment.scale", "vehicle.scale", "letter.scale", "pendigits"]:
        yield f"{name} x 10^U", lambda n=name: text(data / "libsvm" / n, True), [1.0, 1e3]
    yield "mnist", lambda: mnist(data), [1e-6, 1e-4, 1e-2, 1.0]
    yield "news20", lambda: text(data / "libsvm" / "news20-bydate.bz2", False), [1.0, 10.0, 1e2, 1e3]


def objective(x, y, w, loss, c):
    """C·n times ours: ½‖W‖² + C Σ loss, w of shape [n_features + 1, n_classes]."""
    scores = np.asarray(x @ w[:-1]) + w[-1]
    label = np.searchsorted(np.unique(y), y)
    at = np.arange(len(y)), label
    if loss.startswith("ovr"):
        margins = 1 + scores
        margins[at] = 1 - scores[at]
    else:
        margins = 1 + scores - scores[at][:, None]
        margins[at] = 0
    margins = np.maximum(margins, 0)
    if loss.startswith("cs"):
        margins = margins.max(1)
    return 0.5 * (w**2).sum() + c * (margins ** (2 if loss.endswith("2") else 1)).sum()


def liblinear_run(x, y, solver, c, tolerance, out):
    from liblinear.liblinearutil import parameter, problem, train

    task = problem(y.astype(float), x if issparse(x) else csr_matrix(x), bias=1)
    start = time.perf_counter()
    model = train(task, parameter(f"-s {solver} -c {c} -e {tolerance} -B 1 -q"))
    seconds = time.perf_counter() - start
    k, d = model.get_nr_class(), x.shape[1] + 1
    if k == 2 and solver != 4:
        # One column of weights for the first of the labels.
        own = np.ctypeslib.as_array(model.w, (d,)).copy()
        w = np.stack([own, -own], 1)
    else:
        w = np.ctypeslib.as_array(model.w, (d * k,)).reshape(d, k).copy()
    out.put((seconds, w[:, np.argsort(model.get_labels())]))


def liblinear(x, y, loss, c, bound, excess, limit):
    """The seconds of the fastest run whose objective is within `excess` of the bound."""
    best = None
    for solver in LOSSES[loss][1]:
        for tolerance in TOLERANCES:
            out = multiprocessing.Queue()
            run = multiprocessing.Process(target=liblinear_run, args=(x, y, solver, c, tolerance, out))
            run.start()
            try:
                seconds, w = out.get(timeout=limit)
            except Exception:
                run.kill()
                break
            run.join()
            if objective(x, y, w, loss, c) - bound <= excess * bound + 1e-300:
                best = min(best or (np.inf, 0), (seconds, solver))
                break
    return f"{best[0]:.3f} (-s {best[1]})" if best else ("none" if LOSSES[loss][1] else "-")


def burn(program, folder, data, loss, c, gap):
    config = f"threads = 1\n{data}[objective]\nc = {c}\n{LOSSES[loss][0]}[solver.dual]\ngap = {gap}\n"
    (folder / "c.toml").write_text(config)
    command = [program, "train", folder / "c.toml", "--out", folder / "run", "--force", "--json", "--quiet"]
    run = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=600)
    if run.returncode != 0:
        raise SystemExit(run.stderr.decode())
    return json.loads(run.stdout)


def stored(folder, x, y):
    if issparse(x):
        with open(folder / "rows.txt", "w") as out:
            for i in range(x.shape[0]):
                row = slice(x.indptr[i], x.indptr[i + 1])
                order = np.argsort(x.indices[row])
                cells = zip(x.indices[row][order], x.data[row][order])
                out.write(f"{y[i]} " + " ".join(f"{j + 1}:{v:.9g}" for j, v in cells) + "\n")
        return f'[data.libsvm]\ntrain = "{folder}/rows.txt"\n'
    np.savez(folder / "rows.npz", x=x, y=y.astype(np.int64))
    return f'[data.npy]\ntrain = "{folder}/rows.npz"\n'


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--program", default="target/release/burn-svm")
    options.add_argument("--data", type=pathlib.Path, default=pathlib.Path("data"))
    options.add_argument("--only", default="")
    options.add_argument("--limit", type=float, default=30)
    options.add_argument("--losses", nargs="*", default=list(LOSSES))
    options.add_argument("--no-liblinear", action="store_true")
    options.add_argument("--csv")
    options = options.parse_args()
    table = []
    for name, load, costs in problems(options.data):
        if options.only not in name:
            continue
        x, y = load()
        if not issparse(x) and x.dtype != np.uint8:
            x = x.astype(np.float32).astype(np.float64)
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            data = stored(folder, x.astype(np.float32) if x.dtype == np.float64 and not issparse(x) else x, y)
            dense = x.astype(np.float64) if x.dtype == np.uint8 else x
            for loss in options.losses:
                for c in costs:
                    line = {"data": name, "loss": loss, "c": c}
                    for gap in [1e-3, 1e-6]:
                        found = burn(options.program, folder, data, loss, c, gap)
                        line[f"to {gap:g}"] = f"{found['seconds_solve']:.3f}"
                        if found["stop_reason"] != "gap_reached":
                            line[f"to {gap:g}"] += f" {found['stop_reason']} at {found['relative_gap']:.1e}"
                    if not options.no_liblinear:
                        bound = found["dual_objective"] * c * len(y)
                        for gap in [1e-3, 1e-6]:
                            line[f"liblinear {gap:g}"] = liblinear(dense, y, loss, c, bound, gap, options.limit)
                    table.append(line)
                    print("\t".join(map(str, line.values())), flush=True)
    if options.csv and table:
        with open(options.csv, "w", newline="") as out:
            writer = csv.DictWriter(out, table[0].keys())
            writer.writeheader()
            writer.writerows(table)


if __name__ == "__main__":
    main()
