"""Training from blocks on the disk: folders that the program has made, and iterables that are packed."""

import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp
from test_parts import Blocks, blobs, check, single, split

import burn_svm
from burn_svm import _native


def packed(tmp_path, X, y, memory="2M"):
    """A folder of blocks, by the program."""
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", y)
    config = tmp_path / "config.toml"
    paths = [str(tmp_path / name).replace("\\", "/") for name in ("x.npy", "y.npy")]
    config.write_text(f'[data.npy]\ntrain = "{paths[0]}"\ntrain_labels = "{paths[1]}"\n')
    assert _native.run_program(["burn-svm", "pack", str(config), "--out", str(tmp_path / "blocks"), "--memory", memory, "--quiet"]) == 0
    return tmp_path / "blocks"


def test_a_folder(tmp_path):
    X, words, _ = blobs(20_000)
    classes, y = np.unique(words, return_inverse=True)
    folder = packed(tmp_path, X, y.astype(np.uint8))
    params = {"loss": "crammer_singer", "C": 0.01, "center": "mean", "scale": "std", "class_weight": "balanced"}
    model = burn_svm.SVMClassifier(**params).fit_blocks(folder, memory=2 << 20)
    check(model, single(X, y, **params))
    assert model.classes_.tolist() == ["0", "1", "2", "3"] and model.rounds_ >= 2
    named = burn_svm.SVMClassifier(**params).fit_blocks(str(folder), classes=classes)
    assert named.score(X, words) > 0.6 and named.certify(X, words).gap <= 1.1e-3
    free = {**params, "bias": "free"}
    check(burn_svm.SVMClassifier(**free).fit_blocks(folder), single(X, y, **free))
    for error, change in (
        ("expected a label for each of 4 classes", lambda: burn_svm.SVMClassifier().fit_blocks(folder, classes=[0, 1])),
        ("no such folder", lambda: burn_svm.SVMClassifier().fit_blocks(tmp_path / "nothing")),
        ("memory: found 10 bytes", lambda: burn_svm.SVMClassifier().fit_blocks(folder, memory=10)),
    ):
        with pytest.raises(ValueError, match=error):
            change()


@pytest.mark.parametrize("kind", ["f32", "f64", "u8", "csr"])
def test_an_iterable_is_packed_in_one_pass(kind):
    X, y, weight = blobs(12_000)
    X = {
        "f32": lambda: X,
        "f64": lambda: X.astype(np.float64),
        "u8": lambda: np.clip(100 + 20 * X, 0, 255).astype(np.uint8),
        "csr": lambda: sp.csr_matrix(np.where(X > 0.3, X, 0)),
    }[kind]()
    params = {"C": 1e-5 if kind == "u8" else 0.01}
    blocks = Blocks(split((X, y, weight), 7, np.argsort(y)))
    model = burn_svm.SVMClassifier(**params).fit_blocks(blocks, memory=4 << 20)
    assert blocks.times == 1 and model.classes_.tolist() == ["ant", "bee", "cat", "dog"]
    check(model, single(X, y, weight, **params))
    # An iterator that ends once will do.
    once = burn_svm.SVMClassifier(**params).fit_blocks(iter(list(blocks)), classes=["ant", "bee", "cat", "dog", "elk"], memory=4 << 20)
    assert once.coef_.shape == (5, 12) and once.gap_ <= 1e-3


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        ([], "found no rows"),
        ([(np.ones((2, 3), np.float32), [0, 0])], "two classes or more"),
        ([(np.ones((2, 3), np.float32), [0, 1]), (np.ones((2, 4), np.float32), [0, 1])], "partition 1: found rows of 4 features"),
        ([(np.ones((2, 3), np.float32), [0, 1]), (np.full((2, 3), np.nan, np.float32), [0, 1])], "partition 1: row 0, column 0: found NaN"),
        ([(np.ones((2, 3), np.float32), [0, 1]), (np.ones((2, 3), np.float32), [0, 1], [1.0, 2.0])], "with weights"),
        ([(np.ones((2, 3), np.float32), [0, 1, 1])], "partition 0: found 3 labels"),
    ],
)
def test_mistakes_in_blocks_are_sentences(blocks, words):
    with pytest.raises(ValueError) as error:
        burn_svm.SVMClassifier().fit_blocks(blocks, memory=1 << 20)
    assert words in str(error.value), error.value


PEAK = """
import sys
import numpy as np
import burn_svm

def peak():
    return next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith("VmHWM"))

folder, memory = sys.argv[1], int(sys.argv[2])
burn_svm.SVMClassifier(C=0.01, max_iter=2).fit_blocks(sys.argv[3], memory=memory)
before = peak()
model = burn_svm.SVMClassifier(C=1e-4, loss="crammer_singer", center="mean", scale="std", tol=1e-2).fit_blocks(folder, memory=memory)
print(peak() - before, model.gap_)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is read from /proc")
def test_the_memory_that_was_promised(tmp_path):
    rng = np.random.default_rng(0)
    y = np.sort(rng.integers(5, size=300_000)).astype(np.uint8)
    X = (0.5 * rng.normal(size=(5, 40)).astype(np.float32))[y] + rng.normal(size=(len(y), 40)).astype(np.float32)
    folder = packed(tmp_path, X, y, "16M")
    (tmp_path / "small").mkdir()
    small = packed(tmp_path / "small", X[::1000], y[::1000], "16M")
    run = subprocess.run([sys.executable, "-c", PEAK, str(folder), str(16 << 20), str(small)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    taken, gap = run.stdout.split()
    assert int(taken) <= 16 << 20 < X.nbytes, f"{taken} bytes"
    assert float(gap) <= 1e-2
