"""Rows, labels and weights of every kind give one model, and bad ones a sentence."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from burn_svm import LinearSVC, SVMClassifier, SVMClassifierCV, _data, certify

WHOLE = np.random.default_rng(3).integers(0, 100, (120, 6))
LABELS = (WHOLE @ [1, -2, 3, 0, 1, -1] > 90).astype(int) + (WHOLE[:, 0] > 60)


@pytest.fixture(scope="module")
def expected():
    return SVMClassifier(C=1e-3).fit(WHOLE.astype(np.float64), LABELS).coef_


@pytest.mark.parametrize("dtype", "bool u1 i1 u2 i2 u4 i4 u8 i8 f2 f4 f8 g".split())
@pytest.mark.parametrize("order", ["C", "F", "strided"])
def test_types_and_orders(dtype, order, expected):
    X = WHOLE.astype(dtype)
    if order == "F":
        X = np.asfortranarray(X)
    elif order == "strided":
        X = np.repeat(X, 2, axis=1)[:, ::2]
    model = SVMClassifier(C=1e-3).fit(X, LABELS)
    if dtype == "bool":
        expected = SVMClassifier(C=1e-3).fit((WHOLE != 0).astype(float), LABELS).coef_
    np.testing.assert_allclose(model.coef_, expected, rtol=1e-6, atol=1e-9)
    assert (model.predict(X) == SVMClassifier(C=1e-3).fit(X, LABELS).predict(X.astype(float))).all()


@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
@pytest.mark.parametrize("form", ["csr", "csc", "coo", "unsorted", "repeated"])
def test_sparse(index, dtype, form, expected):
    X = sp.csr_array(WHOLE.astype(dtype))
    X.indices, X.indptr = X.indices.astype(index), X.indptr.astype(index)
    if form in ("csc", "coo"):
        X = X.asformat(form)
    elif form == "unsorted":
        X = sp.csr_array((X.data[::-1].copy(), X.indices[::-1].copy(), np.r_[0, np.cumsum(np.diff(X.indptr)[::-1])].astype(index)), X.shape)[::-1]
    elif form == "repeated":
        X = sp.csr_array((np.repeat(X.data / 2, 2).astype(dtype), np.repeat(X.indices, 2), X.indptr * 2), X.shape)
        if dtype == np.int32:
            pytest.skip("halves")
    model = SVMClassifier(C=1e-3).fit(X, LABELS)
    np.testing.assert_allclose(model.coef_, expected, rtol=1e-5, atol=1e-8)


NAMES = list("abcdef")


@pytest.mark.parametrize(
    "frame",
    [
        lambda x: pd.DataFrame(x, columns=NAMES),
        lambda x: pl.DataFrame(x, schema=NAMES),
        lambda x: pa.table({name: x[:, j] for j, name in enumerate(NAMES)}),
    ],
    ids=["pandas", "polars", "pyarrow"],
)
@pytest.mark.parametrize("dtype", ["u1", "f4", "f8", "i8"])
def test_frames(frame, dtype, expected):
    X = frame(WHOLE.astype(dtype))
    model = SVMClassifier(C=1e-3).fit(X, LABELS)
    np.testing.assert_allclose(model.coef_, expected, rtol=1e-6, atol=1e-9)
    assert model.feature_names_in_.tolist() == NAMES
    assert (model.predict(X) == model.predict(X)).all()
    array = _data.frame_to_array(X)
    assert array.dtype == {"u1": np.uint8, "f4": np.float32}.get(dtype, np.float64) and array.flags.c_contiguous


def test_frames_in_another_order_are_refused():
    X = pl.DataFrame(WHOLE, schema=NAMES)
    model = SVMClassifier().fit(X, LABELS)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(X.select(NAMES[::-1]))


def test_frames_with_missing_values_and_words_are_refused():
    X = pl.DataFrame(WHOLE.astype(float), schema=NAMES)
    with pytest.raises(ValueError, match="NaN"):
        SVMClassifier().fit(X.with_columns(a=pl.when(pl.col("a") > 50).then(None).otherwise(pl.col("a"))), LABELS)
    with pytest.raises(ValueError, match="found values of type object, .* OneHotEncoder"):
        SVMClassifier().fit(X.with_columns(b=pl.lit("word")), LABELS)


def test_columns_of_a_raw_frame_are_named():
    """A frame as it comes out of a file: the columns that need an encoder, and the parameter that has missing values."""
    frame = pd.DataFrame(
        {"town": pd.Categorical(["Bern", "Chur"] * 60), "rooms": [1.0, None, 3.0] * 40, "since": pd.date_range("2020", periods=120), "years": ["31", "47"] * 60}
    )
    with pytest.raises(ValueError, match=r"columns that are not numbers: 'town' \(Categorical\), 'since' \(Datetime.*OneHotEncoder"):
        SVMClassifier().fit(frame, LABELS)
    with pytest.raises(ValueError, match="Input X contains NaN.*\n.*imputer"):
        SVMClassifier().fit(frame[["rooms"]], LABELS)
    assert SVMClassifier().fit(frame[["years"]], LABELS).n_features_in_ == 1


def test_polars_categories_through_scikit_learn():
    from sklearn.compose import make_column_transformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    X = pl.DataFrame({"town": ["a", "b", "c"] * 20, "size": [1.0, 2.0, 3.0, 4.0] * 15})
    model = make_pipeline(make_column_transformer((OneHotEncoder(), ["town"]), remainder="passthrough"), SVMClassifier(C=100.0))
    assert model.fit(X, X["town"]).score(X, X["town"]) == 1.0


def test_dlpack(expected):
    class Foreign:
        def __init__(self, array):
            self.array = array

        def __dlpack__(self, **options):
            return self.array.__dlpack__(**options)

        def __dlpack_device__(self):
            return self.array.__dlpack_device__()

    rows, labels, weights = Foreign(WHOLE.astype(np.float32)), Foreign(LABELS), Foreign(np.ones(len(LABELS)))
    for given in ((rows, LABELS), (rows, labels), (rows, labels, weights)):
        model = SVMClassifier(C=1e-3).fit(*given)
        np.testing.assert_allclose(model.coef_, expected, rtol=1e-6, atol=1e-9)
    assert certify(model, rows, labels, sample_weight=weights).gap < 1e-3
    parts = SVMClassifier(C=5e-4).fit_blocks([(rows, labels, weights), (WHOLE.tolist(), LABELS.tolist(), [1.0] * len(LABELS))])
    assert parts.objective_ == pytest.approx(model.objective_, rel=2e-3)


def test_no_digit_is_lost():
    """Seconds since 1970, which single precision rounds by a minute, tell classes apart."""
    n = 300_000
    seconds = 1.7e9 + np.arange(n) % 7.0
    X = np.c_[seconds, np.zeros((n, 3))]
    y = np.arange(n) % 7 > 3
    for rows in (X, np.asfortranarray(X), pd.DataFrame(X)):
        model = SVMClassifier(center="mean", scale="std", C=0.01, max_seconds=20).fit(rows, y)
        assert model.score(rows, y) > 0.99


@pytest.mark.parametrize(
    "y",
    [
        np.array(["low", "high"])[LABELS.clip(0, 1)],
        np.array(["low", "high"], dtype=object)[LABELS.clip(0, 1)],
        LABELS.clip(0, 1).astype(bool),
        LABELS.clip(0, 1) * 2.0 - 1.0,
        (LABELS - 10).astype(np.int8),
        pd.Series(LABELS).astype("category"),
    ],
    ids=["words", "objects", "booleans", "floats", "negative", "categories"],
)
def test_labels(y):
    model = SVMClassifier(C=1e-2).fit(WHOLE, y)
    predicted = model.predict(WHOLE)
    assert set(np.unique(predicted)) <= set(np.unique(y)) and np.mean(predicted == np.asarray(y)) > 0.7
    assert model.certify(WHOLE, y).gap < 1e-3


REFUSED = [
    (SVMClassifier(loss="hinge"), "loss: unknown variant `hinge`, expected one of `weston_watkins`"),
    (SVMClassifier(power=3), "power: 3 is not a power"),
    (SVMClassifier(C=-1.0), "c: found -1, expected a finite number above 0"),
    (SVMClassifier(C=float("nan")), "c: found NaN"),
    (SVMClassifier(margin=-1.0), "margin: found -1"),
    (SVMClassifier(loss="top_k"), "k: found None"),
    (SVMClassifier(loss="top_k", k=7), "k: found 7, expected at most 2"),
    (SVMClassifier(costs=[[0.0, 1.0], [1.0, 0.0]]), "costs: found those of 2 classes, expected 3"),
    (SVMClassifier(bias="some"), "bias: unknown variant `some`"),
    (SVMClassifier(bias_scale=0.0), "bias: found the scale 0"),
    (SVMClassifier(solver="adam"), "solver: found 'adam'"),
    (SVMClassifier(solver="sgd", solver_params={"rate": 1}), "solver: unknown field `rate`"),
    (SVMClassifier(solver="lbfgs"), "needs a smooth loss"),
    (SVMClassifier(tol=2.0), "solver: 2.0 is out of range|solver: 2 is out of range"),
    (SVMClassifier(max_iter=0), "solver: .*nonzero"),
    (SVMClassifier(scale="unit-row"), "Normalizer"),
    (SVMClassifier(scale="huge"), "scale: unknown variant `huge`"),
    (SVMClassifier(device="gpu"), "device: `gpu` is not a device"),
    (SVMClassifier(device="cuda"), "not compiled into this build"),
    (SVMClassifier(calibration="platt"), "calibration: found 'platt'"),
    (SVMClassifier(n_jobs=0), "n_jobs: found 0"),
    (SVMClassifier(n_jobs=10**6), "n_jobs: found 1000000, expected a whole number from 1 to 1024"),
    (SVMClassifier(n_jobs=1.5), "n_jobs: found 1.5"),
    (SVMClassifier(C="1"), "C: found '1', expected a number"),
    (SVMClassifier(C=None), "C: found None"),
    (SVMClassifier(loss=None), "loss: found None, expected a word"),
    (SVMClassifier(power=1.5), "power: found 1.5, expected a whole number"),
    (SVMClassifier(loss="top_k", k=1.5), "k: found 1.5, expected a whole number"),
    (SVMClassifier(costs=[[0, 1], [1]]), "costs: expected a square table"),
    (SVMClassifier(tol=None), "tol: found None"),
    (SVMClassifier(max_iter=1.5), "max_iter: found 1.5, expected a whole number"),
    (SVMClassifier(solver_params=[1]), r"solver_params: found \[1\], expected a dictionary"),
    (SVMClassifier(device=3), "device: found 3, expected a word"),
    (SVMClassifierCV(Cs=[]), r"Cs: found \[\], expected a list of numbers above 0"),
    (SVMClassifierCV(Cs=[-1.0, 1.0]), "Cs: found"),
    (SVMClassifierCV(Cs="a"), "Cs: found 'a'"),
    (SVMClassifierCV(Cs=2, cv=2, scoring="neg_log_loss"), "scoring: found 'neg_log_loss'"),
    (LinearSVC(loss="hinge", dual=False), "Unsupported set of arguments: penalty='l2', loss='hinge', dual=False"),
    (SVMClassifier(class_weight={0: -1.0}), "class_weights: found -1"),
    (LinearSVC(penalty="l1"), "sklearn.svm.LinearSVC has it"),
    (LinearSVC(loss="log"), "loss: found 'log'"),
    (LinearSVC(C=0), "C: found 0"),
]


@pytest.mark.parametrize(("estimator", "sentence"), REFUSED, ids=lambda value: str(value)[:40])
def test_refusals_are_sentences(estimator, sentence):
    with pytest.raises(ValueError, match=sentence):
        estimator.fit(WHOLE, LABELS)


def test_bad_rows_and_weights_are_refused(blobs):
    X, y = blobs
    with pytest.raises(ValueError, match="non-zero|weight above 0"):
        SVMClassifier().fit(X, y, np.zeros(len(y)))
    with pytest.raises(ValueError, match="[Nn]egative"):
        SVMClassifier().fit(X, y, -np.ones(len(y)))
    with pytest.raises(ValueError, match="one class only"):
        SVMClassifier().fit(X, np.zeros(len(y)))
    large = X.astype(np.float64).copy()
    large[7, 2] = 1e300
    with pytest.raises(ValueError, match="row 7, column 2: found 1"):
        SVMClassifier().fit(large, y)
    with pytest.raises(ValueError, match="found values of type datetime64"):
        SVMClassifier().fit(np.full((4, 1), "2020-01-01", dtype="M8[D]"), [0, 1, 0, 1])
    with pytest.raises(NotFittedError):
        SVMClassifier().predict(X)
    with pytest.raises(NotFittedError):
        SVMClassifierCV(Cs=2, cv=2, refit=False).fit(X, y).predict(X)
    with pytest.raises(ValueError, match="Cs: found 1.0"):
        SVMClassifier().path(X, y, 1.0)
    with pytest.raises(AttributeError, match="predict_proba"):
        SVMClassifier().fit(X, y).predict_proba(X)


def test_a_limit_warns_with_both_numbers(digits):
    X, y = digits
    with pytest.warns(ConvergenceWarning, match=r"relative gap \d\.\d\de[-+]\d+ after 1 epochs, asked for 1\.00e-06"):
        model = SVMClassifier(tol=1e-6, max_iter=1, solver_params={"finish": "never"}).fit(np.tile(X, (20, 1)), np.tile(y, 20))
    assert model.stop_reason_ == "epoch_limit" and model.gap_ > 1e-6


def test_other_solvers(digits):
    X, y = digits
    X = (X / 16).astype(np.float32)
    best = SVMClassifier(loss="one_vs_rest", power=2, C=0.1).fit(X, y)
    for options in (
        {"solver": "lbfgs", "tol": 1e-5},
        {"solver": "newton"},
        {"solver": "sgd", "max_iter": 30, "solver_params": {"learning_rate": 0.2, "schedule": "cosine"}},
    ):
        model = SVMClassifier(loss="one_vs_rest", power=2, C=0.1, **options).fit(X, y)
        assert best.objective_ * (1 - 2e-3) <= model.objective_ <= 1.5 * best.objective_, options
        assert model.dual_objective_ <= best.objective_


def test_devices(digits):
    X, y = digits
    here = SVMClassifier(C=0.01).fit(X, y)
    try:
        there = SVMClassifier(C=0.01, device="wgpu", solver="newton", solver_params={"method": "proximal"}).fit(X, y)
    except ValueError as error:
        assert "no such adapter" in str(error)
        pytest.skip("no adapter")
    assert abs(there.objective_ / here.objective_ - 1) < 2e-3
