#!/usr/bin/env python3
"""Five-fold cross-validation over ten C: burn-svm's exact solver beside scikit-learn's GridSearchCV over LIBLINEAR.

    cargo build --release
    python3 benches/cross_validation.py mnist|news20 [--burn-svm PATH] [--data DIR] [--sklearn N] [--rounds N]

Needs scikit-learn. Both solve the joint multiclass problem of Crammer and Singer on the same rows, with both cores (folds side by side).
burn-svm proves every model to within 1e-3 of its optimum; LIBLINEAR stops at its default tolerance (1e-4 on the dual variables) or at
its iterations (1,000 by default), whichever comes first, and proves nothing. `--sklearn N` lets it do the N smallest C only, on all folds, and says so:
larger C take it longer.
"""

import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

HERE = pathlib.Path(__file__).resolve()
ROOT = HERE.parent.parent
RANGES = {"mnist": (-12, -3), "news20": (-6, 3)}


def config(name, folder, gap):
    low, high = RANGES[name]
    values = ", ".join(repr(2.0**e) for e in range(low, high + 1))
    data = {
        "mnist": f"[data.idx]\ntrain_images = \"{folder}/mnist/train-images-idx3-ubyte.gz\"\n"
                 f"train_labels = \"{folder}/mnist/train-labels-idx1-ubyte.gz\"\n[preprocess]\nscale = \"pixel\"\nbias = \"regularised\"\n",
        "news20": f"[data.libsvm]\ntrain = \"{folder}/libsvm/news20-bydate.bz2\"\n",
    }[name]
    return (f"{data}[objective]\nc = {2.0**low!r}\n[loss.crammer_singer]\n[solver.dual]\ngap = {gap}\n"
            f"[search]\nfolds = 5\n[search.space]\n\"objective.c\" = [{values}]\n")


def burn(binary, name, folder, gap, threads):
    with tempfile.TemporaryDirectory() as out:
        path = pathlib.Path(out, "cv.toml")
        path.write_text(config(name, folder, gap))
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        text = subprocess.run([binary, "search", str(path), "--out", out + "/s", "--quiet", "--json", "--threads", str(threads)],
                              check=True, capture_output=True, text=True).stdout
        wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    result = json.loads(text)
    gaps = [s["relative_gap"] for s in result["standings"]]
    scores = {float(s["values"]["objective.c"]): s["score"] for s in result["standings"]}
    return {"wall": wall, "cpu": cpu, "worst_gap": max(gaps), "scores": scores, "memory": result["peak_rss_bytes"] / 1e6}


def load(name, folder):
    import numpy as np

    if name == "mnist":
        import gzip

        def idx(file, skip):
            with gzip.open(f"{folder}/mnist/{file}") as stream:
                return np.frombuffer(stream.read(), np.uint8, offset=skip)

        return idx("train-images-idx3-ubyte.gz", 16).reshape(-1, 784) / 255.0, idx("train-labels-idx1-ubyte.gz", 8)
    import bz2

    from sklearn.datasets import load_svmlight_file

    with bz2.open(f"{folder}/libsvm/news20-bydate.bz2") as stream:
        return load_svmlight_file(stream)


def sklearn(name, folder, count, threads):
    import joblib
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.svm import LinearSVC

    warnings.simplefilter("ignore")
    os.environ["PYTHONWARNINGS"] = "ignore"
    x, y = load(name, folder)
    low, high = RANGES[name]
    values = [2.0**e for e in range(low, high + 1)][:count]
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    model = LinearSVC(multi_class="crammer_singer", random_state=0)
    search = GridSearchCV(model, {"C": values}, cv=folds, n_jobs=threads, refit=False)
    start, cpu = time.perf_counter(), time.process_time()
    # LIBLINEAR does without Python's lock: threads are as good as processes, and their CPU seconds are counted.
    with joblib.parallel_backend("threading", n_jobs=threads):
        search.fit(x, y)
    return {"wall": time.perf_counter() - start, "cpu": time.process_time() - cpu, "scores": dict(zip(values, map(float, search.cv_results_["mean_test_score"]))),
            "each": dict(zip(values, map(float, search.cv_results_["mean_fit_time"])))}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=RANGES)
    parser.add_argument("--burn-svm", default=str(ROOT / "target/release/burn-svm"))
    parser.add_argument("--data", default=str(ROOT / "data"))
    parser.add_argument("--gap", default="1e-3")
    parser.add_argument("--sklearn", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    args = parser.parse_args()
    folder = str(pathlib.Path(args.data).resolve())
    runs = [burn(args.burn_svm, args.name, folder, args.gap, args.threads) for _ in range(args.rounds)]
    wall, cpu = (statistics.median(r[key] for r in runs) for key in ("wall", "cpu"))
    print(f"burn-svm: 50 models in {wall:.1f} s ({cpu:.1f} s of CPU, {runs[0]['memory']:.0f} MB), every gap at most {runs[0]['worst_gap']:.1e}; load {os.getloadavg()[0]:.1f}", flush=True)
    theirs = sklearn(args.name, folder, args.sklearn, args.threads) if args.sklearn else None
    if theirs:
        done = len(theirs["scores"])
        note = "" if done == 10 else f" for the {done} smallest C only; the last took {list(theirs['each'].values())[-1]:.1f} s a fold, and larger ones take longer"
        print(f"GridSearchCV: {done * 5} models in {theirs['wall']:.1f} s ({theirs['cpu']:.1f} s of CPU){note}; load {os.getloadavg()[0]:.1f}", flush=True)
    print("\n| C | burn-svm | scikit-learn | seconds a fold there |\n|---|---|---|---|")
    for c, score in sorted(runs[0]["scores"].items()):
        other = theirs["scores"].get(c) if theirs else None
        each = theirs["each"].get(c) if theirs else None
        print(f"| 2^{c.hex().split('p')[1]} | {score:.4f} | {'-' if other is None else f'{other:.4f}'} | {'-' if each is None else f'{each:.1f}'} |")


if __name__ == "__main__":
    main()
