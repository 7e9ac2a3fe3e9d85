#!/usr/bin/env python3
"""How long data files take to read: burn-svm beside pandas, scikit-learn and NumPy, in one run.

    cargo build --release
    pip install numpy pandas pillow pyarrow scikit-learn scipy
    python3 benches/reading.py --rounds 5 --csv benches/results/$(date +%F)-reading.csv

Files are written to a temporary folder: a csv of 100,000 rows of 50 numbers with six digits, the numbers as they are as Parquet (snappy, zstd) and
Feather (lz4), libsvm text of 60,000 rows of 100 cells, as text and as SciPy saves it; arrays of 60,000 rows of 784 bytes; folders of 5,000 images. `--only`
chooses among them, `BURN_SVM` names another program. MNIST is read from data/mnist where it is there. Every reading is a process
time is that of the reading call alone (burn-svm: `seconds_load` of its result). The first round warms the file cache and is dropped.
Processor time is given, too, which other programs disturb less: burn-svm's is that of the whole process with all its threads.
"""

import argparse
import csv
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

here = pathlib.Path(__file__).resolve().parent.parent

CONFIG = """
{data}
[objective]
lambda = 1e-3
[loss.crammer_singer]
[solver.sgd]
steps = 1
batch_size = 1
"""

# What each contestant runs: it leaves X and y in memory as burn-svm does, in single precision.
PYTHON = {
    "pandas read_csv": "import pandas as p; f = p.read_csv({file!r}); X = f.iloc[:, :-1].to_numpy('f4'); y = f.iloc[:, -1].to_numpy()",
    "pandas read_csv, dtype f4": "import pandas as p; f = p.read_csv({file!r}, dtype={{f'x{{j}}': 'f4' for j in range(50)}}); "
    "X = f.iloc[:, :-1].to_numpy('f4'); y = f.iloc[:, -1].to_numpy()",
    "pandas read_csv, pyarrow": "import pandas as p; f = p.read_csv({file!r}, engine='pyarrow'); X = f.iloc[:, :-1].to_numpy('f4'); "
    "y = f.iloc[:, -1].to_numpy()",
    "numpy loadtxt": "import numpy as n; X = n.loadtxt({file!r}, 'f4', delimiter=',', skiprows=1, usecols=range(50)); "
    "y = n.loadtxt({file!r}, 'U3', delimiter=',', skiprows=1, usecols=50)",
    "pandas read_parquet": "import pandas as p; f = p.read_parquet({file!r}); X = f.iloc[:, :-1].to_numpy('f4'); y = f.iloc[:, -1].to_numpy()",
    "pandas read_feather": "import pandas as p; f = p.read_feather({file!r}); X = f.iloc[:, :-1].to_numpy('f4'); y = f.iloc[:, -1].to_numpy()",
    "sklearn load_svmlight_file": "from sklearn.datasets import load_svmlight_file as l; X, y = l({file!r}, dtype='f4')",
    "numpy, npz": "import numpy as n; z = n.load({file!r}); X, y = z['x_train'], z['y_train']",
    "scipy load_npz": "import scipy.sparse as s; X = s.load_npz({file!r})",
    "Pillow": "import numpy as n, pathlib as p, PIL.Image as i; f = sorted(p.Path({file!r}).glob('*/*')); X = n.stack([n.asarray(i.open(g)) for g in f])",
    "numpy, gzip": "import gzip, numpy as n; X = n.frombuffer(gzip.open({file!r}).read(), 'u1', offset=16)",
}
TIMED = "import time\n{imports}\nt, c = time.perf_counter(), time.process_time()\n{code}\nprint(time.perf_counter() - t, time.process_time() - c)"


def python(name, file):
    code = PYTHON[name].format(file=str(file))
    imports, _, rest = code.partition("; ")
    out = subprocess.run([sys.executable, "-c", TIMED.format(imports=imports, code=rest)], capture_output=True, text=True, check=True)
    seconds, processor = map(float, out.stdout.split())
    return seconds, processor


def ours(data, folder):
    config = folder / "reading.toml"
    config.write_text(CONFIG.format(data=data))
    program = os.environ.get("BURN_SVM") or pathlib.Path(os.environ.get("CARGO_TARGET_DIR", here / "target")) / "release" / "burn-svm"
    command = [program, "train", config, "--out", folder / "run", "--force", "--json", "-q"]
    before = os.times()
    out = subprocess.run(command, capture_output=True, text=True, cwd=here)
    if out.returncode:
        sys.exit(out.stderr)
    after = os.times()
    processor = after.children_user - before.children_user + after.children_system - before.children_system
    return json.loads(out.stdout)["seconds_load"], processor


def write_files(folder):
    import numpy as np
    import pandas as pd
    import scipy.sparse
    from PIL import Image

    rng = np.random.default_rng(0)
    x = rng.standard_normal((100_000, 50))
    table = pd.DataFrame(x, columns=[f"x{j}" for j in range(50)])
    table["kind"] = np.array(["ant", "bee", "cat"])[rng.integers(0, 3, len(x))]
    table.to_csv(folder / "table.csv", index=False, float_format="%.6g")
    table.to_parquet(folder / "table.parquet")
    table.to_parquet(folder / "table.zstd.parquet", compression="zstd")
    table.to_feather(folder / "table.feather")
    rows, columns, cells = [], [], []
    with open(folder / "table.libsvm", "w") as file:
        for row in range(60_000):
            places, values = np.sort(rng.choice(20_000, 100, replace=False)), rng.standard_normal(100)
            file.write(f"{rng.integers(0, 10)} " + " ".join(f"{j + 1}:{v:.6g}" for j, v in zip(places, values)) + "\n")
            rows.append(np.full(100, row)), columns.append(places), cells.append(values.astype("f4"))
    places = (np.concatenate(rows), np.concatenate(columns))
    scipy.sparse.save_npz(folder / "sparse.npz", scipy.sparse.csr_matrix((np.concatenate(cells), places)))
    classes = rng.integers(0, 10, 60_000)
    np.save(folder / "classes.npy", classes)
    # A fifth of the bytes is not zero, as in MNIST; images are smooth, as photographs are.
    x = rng.integers(1, 256, (60_000, 784), dtype="u1") * (rng.random((60_000, 784)) < 0.2)
    np.savez_compressed(folder / "arrays.npz", x_train=x, y_train=classes)
    smooth = rng.integers(0, 256, (5_000, 8, 8, 3), dtype="u1")
    for kind in ("png", "jpg"):
        for i, image in enumerate(smooth):
            (folder / kind / str(i % 10)).mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).resize((64, 64)).save(folder / kind / str(i % 10) / f"{i:04}.{kind}")


def size_of(file):
    return sum(f.stat().st_size for f in file.rglob("*") if f.is_file()) if file.is_dir() else file.stat().st_size


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--csv", type=pathlib.Path)
    parser.add_argument("--only", nargs="+", help="groups of files, such as csv or Parquet")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_files(folder)
        table, text, mnist = folder / "table.csv", folder / "table.libsvm", here / "data/mnist/train-images-idx3-ubyte.gz"
        reader = {"parquet": "pandas read_parquet", "arrow": "pandas read_feather"}
        typed = lambda kind, name: (folder / name, f"[data.{kind}]\ntrain = '{folder / name}'\nlabel = 'kind'", [reader[kind]])
        groups = {
            "csv": (table, f"[data.csv]\ntrain = '{table}'\nlabel = 'kind'", [n for n in PYTHON if "csv" in n or "loadtxt" in n]),
            "Parquet": typed("parquet", "table.parquet"),
            "Parquet, zstd": typed("parquet", "table.zstd.parquet"),
            "Feather": typed("arrow", "table.feather"),
            "libsvm": (text, f"[data.libsvm]\ntrain = '{text}'", ["sklearn load_svmlight_file"]),
            "npz": (folder / "arrays.npz", f"[data.npy]\ntrain = '{folder}/arrays.npz'", ["numpy, npz"]),
            "npz, sparse": (folder / "sparse.npz", f"[data.npy]\ntrain = '{folder}/sparse.npz'\ntrain_labels = '{folder}/classes.npy'",
                            ["scipy load_npz"]),
            "PNG": (folder / "png", f"[data.images]\ntrain = '{folder}/png'", ["Pillow"]),
            "JPEG": (folder / "jpg", f"[data.images]\ntrain = '{folder}/jpg'", ["Pillow"]),
            "MNIST idx.gz": (mnist, f"[data.idx]\ntrain_images = '{mnist}'\ntrain_labels = "
                             f"'{mnist.parent / 'train-labels-idx1-ubyte.gz'}'", ["numpy, gzip"]),
        }
        groups = {group: found for group, found in groups.items() if not arguments.only or group in arguments.only}
        rows = []
        for group, (file, data, names) in groups.items():
            if not file.exists():
                print(f"skipped: {file} is not there")
                continue
            for round_ in range(arguments.rounds + 1):
                load = os.getloadavg()[0]
                runs = [("burn-svm", ours(data, folder))] + [(n, python(n, file)) for n in names]
                rows += [(group, n, round_, s, size_of(file), load, c) for n, (s, c) in runs if round_]
    print("| file | MB | reader | median s | min s | MB/s | times burn-svm | processor s |\n|---|---|---|---|---|---|---|---|")
    for group in groups:
        times, processor = {}, {}
        for row in rows:
            if row[0] == group:
                times.setdefault(row[1], []).append(row[3])
                processor.setdefault(row[1], []).append(row[6])
                size = row[4] / 1e6
        for reader, seconds in times.items():
            median = statistics.median(seconds)
            ratio = median / statistics.median(times["burn-svm"])
            used = statistics.median(processor[reader])
            print(f"| {group} | {size:.1f} | {reader} | {median:.3f} | {min(seconds):.3f} | {size / median:.0f} | {ratio:.1f} | {used:.3f} |")
    if arguments.csv:
        with open(arguments.csv, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["file", "reader", "round", "seconds", "bytes", "load_average", "processor_seconds"])
            writer.writerows(rows)


if __name__ == "__main__":
    main()
