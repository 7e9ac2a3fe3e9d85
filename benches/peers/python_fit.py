"""Fits from Python: burn_svm beside scikit-learn's LinearSVC and SGDClassifier, and Snap ML, time and peak memory.

    pip install scikit-learn snapml burn-svm
    python3 benches/peers/python_fit.py [--data data] [--only TEXT] [--kind squared|hinge|search] [--threads 1 2] [--limit 120] [--rows 1000000] [--csv FILE]

Each fit runs in a process of its own that holds the rows already. `seconds` are those of `fit`, `cpu` those of the processor in all threads, which
depend little on what else the machine does; `memory` is what the process's peak grew by during it, as a share of the rows; `excess` is (P − P*)/P* of the objective that the estimator minimises, computed here in double precision, P*
from the lower bound that burn_svm proves at a gap of 1e-5. With --goal every solver has a ladder of tolerances, and of each its first line within that excess is
printed. Two objectives: `squared`, one-vs-rest with squared hinge and C of the
table (LinearSVC, Snap ML); `hinge`, one-vs-rest with hinge, a free bias and alpha = 1e-4 (SGDClassifier). `search`: four values of C on three folds and
the fit of the best, each with the tolerance of its default or 1e-4; the memory of processes of joblib is not counted. A limit that is met is `-`.
"""

import argparse
import csv
import gzip
import json
import os
import pathlib
import subprocess
import sys
import time

import numpy as np

SETS = {
    "digits": 1e-3,
    "mnist-u8": 1e-6,
    "mnist-f32": 1e-6,
    "mnist-f64": 1e-6,
    "news20": 1.0,
    "letter": 1.0,
    "wide-f32": 1e-2,
}
FITS = {
    "burn_svm 1e-2": ("squared", {"tol": 1e-2}),
    "burn_svm 1e-4": ("squared", {"tol": 1e-4}),
    "LinearSVC": ("squared", {}),
    "LinearSVC primal": ("squared", {"dual": False}),
    "LinearSVC 1e-6": ("squared", {"tol": 1e-6, "max_iter": 100_000}),
    "burn_svm hinge 1e-2": ("hinge", {"tol": 1e-2}),
    "SGDClassifier": ("hinge", {}),
    "SGDClassifier 100": ("hinge", {"max_iter": 100, "tol": None}),
    "Snap ML": ("squared", {}),
    "search SVMClassifierCV": ("search", {}),
    "search grid burn_svm": ("search", {}),
    "search grid LinearSVC": ("search", {}),
}
#: Tolerances from loose to tight, by the first word or words of a fit.
LADDERS = {
    "burn_svm": [{"tol": 10.0**-i} for i in range(2, 6)],
    "LinearSVC": [{"tol": 10.0**-i, "max_iter": 100_000} for i in range(1, 6)],
    "LinearSVC primal": [{"tol": 10.0**-i, "dual": False} for i in range(0, 5)],
    "Snap ML": [{"tol": 10.0**-i, "max_iter": 100_000} for i in range(2, 7)],
}
if "--goal" in sys.argv:
    FITS = {f"{name} {options['tol']:.0e}": ("squared", options) for name, ladder in LADDERS.items() for options in ladder}


def load(name, data, rows):
    """Rows and labels."""
    import scipy.sparse as sp
    from sklearn.datasets import load_digits, load_svmlight_file

    kind = name.split("-")[0]
    if kind == "digits":
        return load_digits(return_X_y=True)
    if kind == "mnist":
        read = lambda file, offset: np.frombuffer(gzip.open(data / "mnist" / file).read(), np.uint8, offset=offset)
        X = read("train-images-idx3-ubyte.gz", 16).reshape(-1, 784)
        dtype = {"u8": np.uint8, "f32": np.float32, "f64": np.float64}[name.split("-")[1]]
        return X.astype(dtype), read("train-labels-idx1-ubyte.gz", 8)
    if kind == "wide":
        rng = np.random.default_rng(0)
        W = rng.normal(size=(100, 5))
        X = np.empty((rows, 100), np.float32)
        y = np.empty(rows, np.int64)
        for start in range(0, rows, 50_000):
            block = rng.normal(size=(len(X[start : start + 50_000]), 100))
            X[start : start + 50_000] = block
            y[start : start + 50_000] = (block @ W + 3 * rng.normal(size=(len(block), 5))).argmax(axis=1)
        return X, y
    file = {"news20": "news20-bydate.bz2", "letter": "letter.scale"}[kind]
    X, y = load_svmlight_file(str(data / "libsvm" / file), dtype=np.float32)
    if kind != "news20":
        return X.toarray(), y
    # LinearSVC takes no indices of 64 bits.
    return sp.csr_matrix((X.data, X.indices.astype(np.int32), X.indptr.astype(np.int32)), X.shape), y


def estimator(name, C, n, threads):
    """The estimator of a line."""
    import burn_svm
    from sklearn.linear_model import SGDClassifier
    from sklearn.svm import LinearSVC

    objective, options = FITS[name]
    if objective == "search":
        return search(name, C, threads)
    if name.startswith("Snap ML"):
        from snapml import SupportVectorMachine

        return SupportVectorMachine("squared_hinge", regularizer=1 / C, fit_intercept=True, n_jobs=threads, random_state=0, **options)
    if name.startswith("burn_svm"):
        if objective == "hinge":
            return burn_svm.SVMClassifier("one_vs_rest", bias="free", C=1 / (1e-4 * n), n_jobs=threads, **options)
        return burn_svm.LinearSVC(C=C, n_jobs=threads, **options)
    if objective == "hinge":
        return SGDClassifier(random_state=0, n_jobs=threads, **options)
    return LinearSVC(C=C, random_state=0, **{"dual": True} | options)


def search(name, C, threads):
    """A search for C, with its refit."""
    import burn_svm
    import sklearn.svm
    from sklearn.model_selection import GridSearchCV

    Cs = C * np.logspace(-2, 1, 4)
    if name.endswith("CV"):
        return burn_svm.SVMClassifierCV(Cs=Cs, cv=3, loss="one_vs_rest", power=2, tol=1e-4, n_jobs=threads)
    model = burn_svm.LinearSVC(n_jobs=1) if name.endswith("burn_svm") else sklearn.svm.LinearSVC(random_state=0)
    return GridSearchCV(model, {"C": Cs}, cv=3, n_jobs=threads)


def objective_of(model, X, y, kind, C):
    """P at the weights of a model, in double precision."""
    total, n, power = 0.0, X.shape[0], 2 if kind == "squared" else 1
    for start in range(0, n, 10_000):
        block = X[start : start + 10_000]
        scores = (block if hasattr(block, "indptr") else block.astype(np.float64)) @ model.coef_.T + model.intercept_
        signs = np.where(y[start : start + 10_000, None] == model.classes_, 1.0, -1.0)
        total += (np.maximum(0, 1 - signs * scores) ** power).sum()
    squares = (model.coef_**2).sum() + (np.sum(model.intercept_**2) if kind == "squared" else 0.0)
    strength = 1 / (C * n) if kind == "squared" else 1e-4
    return total / n + strength / 2 * squares


def status(key):
    return int(next(line for line in open("/proc/self/status") if line.startswith(key)).split()[1]) * 1024


def child(args):
    """One fit, as a line of JSON."""
    import warnings

    warnings.simplefilter("ignore")
    name, fit, threads = args.child
    X, y = load(name, args.data, args.rows)
    C = SETS[name]
    if fit == "bound":
        import burn_svm

        bounds = {}
        for kind, model in (
            ("squared", burn_svm.LinearSVC(C=C, tol=1e-5)),
            ("hinge", burn_svm.SVMClassifier("one_vs_rest", bias="free", C=1 / (1e-4 * X.shape[0]), tol=1e-5, max_seconds=args.limit)),
        ):
            if args.kind not in ("", kind):
                continue
            bounds[kind] = model.fit(X, y).dual_objective_
        return print(json.dumps(bounds))
    model = estimator(fit, C, X.shape[0], int(threads))
    small = np.concatenate([np.flatnonzero(y == label)[:6] for label in np.unique(y)])
    estimator(fit, C, len(small), int(threads)).fit(X[small], y[small])
    open("/proc/self/clear_refs", "w").write("5")
    before, start, cpu = status("VmRSS"), time.perf_counter(), time.process_time()
    # Snap ML takes no bytes.
    model.fit(X.astype(np.float32) if fit.startswith("Snap ML") and X.dtype == np.uint8 else X, y)
    seconds, cpu, grown = time.perf_counter() - start, time.process_time() - cpu, status("VmHWM") - before
    size = X.nbytes if isinstance(X, np.ndarray) else X.data.nbytes + X.indices.nbytes + X.indptr.nbytes
    found = {"seconds": seconds, "cpu": cpu, "memory": grown / size, "megabytes": grown / 1e6}
    kind = FITS[fit][0]
    print(json.dumps(found | {"objective": None if kind == "search" else objective_of(model, X, y, kind, C)}))


def run(args, *words):
    """A child's answer; None where it took too long or failed."""
    command = [sys.executable, __file__, "--data", str(args.data), "--rows", str(args.rows), "--limit", str(args.limit), "--kind", args.kind, *(["--goal", "0"] if args.goal else []), "--child", *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=args.limit + 60, env=os.environ)
    except subprocess.TimeoutExpired:
        return None
    if done.returncode:
        print(done.stderr[-300:], file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path("data"))
    parser.add_argument("--only", default="")
    parser.add_argument("--kind", default="")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--limit", type=float, default=120)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--csv", type=pathlib.Path)
    parser.add_argument("--goal", type=float, help="an excess, for example 1e-4")
    parser.add_argument("--child", nargs="+")
    args = parser.parse_args()
    if args.child:
        return child(args)
    lines = []
    print(f"{'data':<10} {'fit':<20} threads  seconds     cpu  memory     MB   excess")
    for name in SETS:
        if args.only not in name:
            continue
        bounds = (run(args, name, "bound", "0") or {}) if args.kind != "search" else {}
        reached = set()
        for fit, (kind, _) in FITS.items():
            solver = fit.rpartition(" ")[0]
            for threads in args.threads if args.kind in ("", kind) else []:
                if (threads > 1 and fit.startswith("LinearSVC")) or (args.goal and (solver, threads) in reached):
                    continue
                found = run(args, name, fit, str(threads))
                line = {"data": name, "fit": fit, "threads": threads}
                if found is None:
                    reached.add((solver, threads))
                    print(f"{name:<10} {fit:<20} {threads:>7}        -", flush=True)
                    continue
                excess = found["objective"] / bounds[kind] - 1 if bounds.get(kind, 0) > 0 else float("nan")
                if args.goal and excess > args.goal:
                    continue
                reached.add((solver, threads))
                line |= found | {"excess": excess}
                lines.append(line)
                print(
                    f"{name:<10} {fit:<20} {threads:>7} {found['seconds']:>8.3f} {found['cpu']:>7.2f} {found['memory']:>7.2f} {found['megabytes']:>6.0f} {excess:>8.1e}",
                    flush=True,
                )
    if args.csv:
        with open(args.csv, "w", newline="") as file:
            writer = csv.DictWriter(file, lines[0])
            writer.writeheader()
            writer.writerows(lines)


if __name__ == "__main__":
    main()
