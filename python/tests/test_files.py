"""Models leave and come back: model file, program, ONNX, pickle."""

import os
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pytest
from sklearn.base import clone

import burn_svm
from burn_svm import LinearSVC, SVMClassifier

MODELS = [
    SVMClassifier(C=0.1),
    SVMClassifier(center="mean", scale="std"),
    SVMClassifier(calibration="temperature"),
    LinearSVC(),
    LinearSVC(class_weight="balanced"),
    LinearSVC(multi_class="crammer_singer"),
]


def program(*words, **options):
    environment = os.environ | {"XDG_RUNTIME_DIR": "/tmp"}
    done = subprocess.run(
        [sys.executable, "-m", "burn_svm", *map(str, words)], capture_output=True, text=True, check=False, env=environment, **options
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("model", MODELS, ids=str)
@pytest.mark.parametrize("classes", [2, 3])
def test_files_hold_the_model(model, classes, iris, tmp_path):
    X, y = iris
    X, y = X[y < classes], y[y < classes]
    model = clone(model).fit(X, y)
    model.save(tmp_path / "model.safetensors")
    back = burn_svm.load(tmp_path / "model.safetensors")
    np.testing.assert_allclose(back.decision_function(X), model.decision_function(X), rtol=1e-12, atol=1e-12)
    assert back.predict(X).dtype == np.int64 and (back.predict(X) == model.predict(X)).all()
    if hasattr(model, "predict_proba"):
        np.testing.assert_array_equal(back.predict_proba(X), model.predict_proba(X))
        assert (model.predict_proba(X).argmax(axis=1) == model.predict(X)).all()
    for copy in (pickle.loads(pickle.dumps(model)), pickle.loads(pickle.dumps(back))):
        np.testing.assert_array_equal(copy.decision_function(X), model.decision_function(X))
    joblib.dump(model, tmp_path / "model.joblib")
    np.testing.assert_array_equal(joblib.load(tmp_path / "model.joblib", mmap_mode="r").predict(X), model.predict(X))


def test_cloudpickle(blobs):
    cloudpickle = pytest.importorskip("cloudpickle")
    X, y = blobs
    model = SVMClassifier().fit(X, y)
    np.testing.assert_array_equal(pickle.loads(cloudpickle.dumps(model)).coef_, model.coef_)


def test_onnx(digits, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    X, y = digits
    for model in (SVMClassifier(C=0.01, scale="std"), LinearSVC(C=0.01)):
        model.fit(X, y).to_onnx(tmp_path / "model.onnx")
        session = runtime.InferenceSession(tmp_path / "model.onnx")
        kind = np.float64 if session.get_inputs()[0].type == "tensor(double)" else np.float32
        labels, scores = session.run(["label", "scores"], {"features": X.astype(kind)})
        assert (labels == model.predict(X)).all()
        np.testing.assert_allclose(scores, model.decision_function(X), rtol=1e-5, atol=1e-5)


def test_the_program_takes_our_models(digits, tmp_path):
    X, y = digits
    model = SVMClassifier(C=0.01).fit(X, y)
    model.save(tmp_path / "model.safetensors")
    np.save(tmp_path / "rows.npy", X)
    code, out, err = program("predict", tmp_path / "model.safetensors", tmp_path / "rows.npy")
    assert code == 0, err
    assert [int(line) for line in out.split()] == model.predict(X).tolist()


def test_we_take_the_program_s_runs(tmp_path):
    config = tmp_path / "digits.toml"
    config.write_text("[data.digits]\n[split]\ntest = 0.2\n[objective]\nc = 0.01\n[loss.crammer_singer]\n[solver.dual]\n")
    code, _, err = program("train", config, "--out", tmp_path / "run", "--quiet")
    assert code == 0, err
    model = burn_svm.load(tmp_path / "run")
    assert model.objective_of_["loss"] == "crammer_singer" and model.coef_.shape == (10, 64)
    assert model.image_shape_ == (8, 8, 1)


def test_the_program_ends_with_its_code(tmp_path):
    assert program("--version")[1].startswith("burn-svm ")
    code, _, err = program("train", tmp_path / "absent.toml")
    assert code == 2 and "absent.toml" in err


def test_files_that_are_none_are_refused(tmp_path):
    (tmp_path / "words").write_text("no model")
    with pytest.raises(ValueError, match="not a safetensors file"):
        burn_svm.load(tmp_path / "words")
    with pytest.raises(OSError, match="absent"):
        burn_svm.load(tmp_path / "absent")
