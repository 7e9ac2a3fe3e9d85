"""Holds exported models against the programs that they are for: NumPy, LIBLINEAR and onnxruntime.

    pip install numpy scipy onnx onnxruntime liblinear-official
    python cli/tests/interop/export.py [PROGRAM]

Trains a few models on made-up rows, exports each and compares all scores with those of `burn-svm predict`, relative to the
largest of them. Ends with exit code 1 where they differ by more than 1e-6, or a label differs.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from liblinear.liblinearutil import load_model
from liblinear.liblinearutil import predict as liblinear_predict

MOST = 1e-6
program = [str(Path(sys.argv[1]).resolve())] if sys.argv[1:] else ["cargo", "run", "--release", "-q", "--"]
repository = Path(__file__).resolve().parents[2]


def burn_svm(*arguments):
    command = [*program, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=repository).stdout


def rows_of(kind, draw):
    """Rows, labels and the number of features: bytes as of images, or cells of very different scales."""
    n, d, k = 300, {"bytes": 400, "table": 12, "two": 12}[kind], {"bytes": 10, "table": 4, "two": 2}[kind]
    y = draw.integers(0, k, n)
    centres = draw.normal(size=(k, d))
    if kind == "bytes":
        x = np.clip(128 + 60 * centres[y] + 40 * draw.normal(size=(n, d)), 0, 255).round()
    else:
        x = (centres[y] + draw.normal(size=(n, d))) * np.logspace(-2, 3, d) + np.linspace(-500, 500, d)
    x = x.astype(np.float32)
    x[0] = 0
    names = {"table": np.array(["ant", "bee", "cat", "dog"])}.get(kind, np.arange(k) * 3 - 1)
    return x, names[y]


def compare_table(folder, draw, missing, indicator, scale, calibration):
    """Words, missing cells, truth values and times, as they come: the largest difference of scores, relative to the largest score, and of
    probabilities."""
    n = 400
    kind = draw.integers(0, 3, n)
    columns = {
        "label_of": np.array(["Biscoe", "Dream", "a, \"b\""], object)[(kind + (draw.random(n) < 0.3)) % 3],
        "weight": (draw.normal(size=n) + kind).round(3),
        "tagged": (draw.random(n) < 0.2 + 0.3 * kind).astype(float),
        "at": 1.7e9 + 3600.0 * (kind + draw.integers(0, 9, n)),
    }
    lacking = {name: draw.random(n) < 0.05 for name in columns}
    quoted = lambda text: '"' + text.replace('"', '""') + '"'
    shown = {
        "label_of": quoted,
        "weight": lambda value: repr(float(value)),
        "tagged": lambda value: ["False", "True"][int(value)],
        "at": lambda value: str(np.datetime64(int(value), "s")),
    }
    cell = lambda name, i: ["", "NA", "?"][i % 3] if lacking[name][i] else shown[name](columns[name][i])
    lines = [",".join([cell(name, i) for name in columns] + [f"k{kind[i]}"]) for i in range(n)]
    (folder / "t.csv").write_text("\n".join([",".join([*columns, "y"]), *lines]) + "\n")
    config = folder / "t.toml"
    config.write_text(
        f"[data.csv]\ntrain = '{folder / 't.csv'}'\nlabel = 'y'\n[preprocess]\ncenter = 'mean'\nscale = '{scale}'\n"
        f"categories = 'one-hot'\nmissing = '{missing}'\nindicator = {indicator}\n[calibration]\nmethod = '{calibration}'\n"
    )
    burn_svm("train", config, "--out", folder / "run", "--force", "-q")
    own = [line.split("\t") for line in burn_svm("predict", folder / "run", folder / "t.csv", "--scores").splitlines()]
    scores = np.array([[float(value) for value in row[1:]] for row in own])
    burn_svm("export", folder / "run", "--to", "onnx", folder / "t.onnx")
    session = onnxruntime.InferenceSession(str(folder / "t.onnx"))
    inputs = {}
    # A name that the graph has for itself is one of a column, too.
    for input, name in zip(session.get_inputs(), columns):
        if input.type == "tensor(string)":
            inputs[input.name] = np.where(lacking[name], "NA", columns[name])[:, None].astype(object)
        else:
            inputs[input.name] = np.where(lacking[name], np.nan, columns[name].astype(float))[:, None]
    found = dict(zip([output.name for output in session.get_outputs()], session.run(None, inputs)))
    classes = json.loads(session.get_modelmeta().custom_metadata_map["class_names"])
    assert [classes[k] for k in found["label"]] == [row[0] for row in own], "a label differs"
    assert list(found["class"]) == [row[0] for row in own], "a name differs"
    own = burn_svm("predict", folder / "run", folder / "t.csv", "--probabilities").splitlines()
    probabilities = np.array([[float(value) for value in line.split("\t")[1:]] for line in own])
    return max(np.abs(found["scores"] - scores).max() / np.abs(scores).max(), np.abs(found["probabilities"] - probabilities).max())


def main():
    draw = np.random.default_rng(3)
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for kind in ("bytes", "table", "two"):
            x, labels = rows_of(kind, draw)
            cells = (" ".join(f"{j}:{v!r}" for j, v in enumerate(r.tolist(), 1) if v != 0) for r in x)
            (folder / "rows").write_text("".join(f"{y} {c}\n" for y, c in zip(labels, cells)))
            for scale, center in (("none", "none"), ("std", "mean"), ("minmax", "none"), ("pixel", "mean"), ("unit-row", "mean")):
                for loss in ("weston_watkins", "crammer_singer", "one_vs_rest"):
                    worst = max(worst, compare(folder, x, kind, scale, center, loss))
        for missing in ("mean", "median", "most-frequent"):
            for indicator in ("true", "false"):
                for scale, calibration in (("std", "temperature"), ("unit-row", "platt")):
                    worst = max(worst, compare_table(folder, draw, missing, indicator, scale, calibration))
    print(f"largest difference {worst:.1e}")
    sys.exit(worst > MOST)


def compare(folder, x, kind, scale, center, loss):
    (folder / "config.toml").write_text(
        f"[data.libsvm]\ntrain = '{folder}/rows'\n[preprocess]\nscale = '{scale}'\ncenter = '{center}'\n"
        f"[objective]\nlambda = 1e-3\n[loss.{loss}]\n[solver.sgd]\nlearning_rate = 1e-6\nepochs = 3\ninit_std = 0.01\n"
    )
    burn_svm("train", folder / "config.toml", "--out", folder / "run", "--force", "--quiet")
    lines = [line.split("\t") for line in burn_svm("predict", folder / "run", folder / "rows", "--scores").splitlines()]
    labels, scores = [line[0] for line in lines], np.array([line[1:] for line in lines], dtype=float)

    def difference(found, expected=scores):
        return float(np.abs(found - expected).max() / np.abs(expected).max())

    found = {}
    burn_svm("export", folder / "run", "--to", "onnx", folder / "m.onnx")
    onnx.checker.check_model(str(folder / "m.onnx"), full_check=True)
    session = onnxruntime.InferenceSession(str(folder / "m.onnx"), providers=["CPUExecutionProvider"])
    names = json.loads(session.get_modelmeta().custom_metadata_map["class_names"])
    onnx_scores, index = session.run(["scores", "label"], {"features": x})
    assert [names[i] for i in index] == labels, "onnx: labels"
    found["onnx"] = difference(onnx_scores.astype(float))

    if scale != "unit-row":
        burn_svm("export", folder / "run", "--to", "npz", folder / "m.npz")
        with np.load(folder / "m.npz") as arrays:
            weight, bias, classes = arrays["weight"], arrays["bias"], arrays["classes"]
        numpy_scores = x.astype(float) @ weight + bias
        assert [str(c) for c in classes[numpy_scores.argmax(1)]] == labels, "npz: labels"
        found["npz"] = difference(numpy_scores)

        burn_svm("export", folder / "run", "--to", "liblinear", folder / "m.model")
        model = load_model(str(folder / "m.model"))
        rows = [dict(enumerate(r, 1)) for r in x.astype(float).tolist()]
        said, _, values = liblinear_predict([], rows, model, "-q")
        order = [names.index(str(c)) if str(c) in names else c for c in model.get_labels()]
        said = [names[order[model.get_labels().index(int(label))]] for label in said]
        assert said == labels, "liblinear: labels"
        values = np.array(values)
        if kind == "two":
            found["liblinear"] = difference(values[:, 0], (scores[:, order[0]] - scores[:, order[1]]) / 2)
        else:
            found["liblinear"] = difference(values, scores[:, order])
    print(kind, scale, center, loss, *(f"{name} {value:.1e}" for name, value in found.items()))
    return max(found.values())


if __name__ == "__main__":
    main()
