"""With the tools that stand around an estimator: scikit-learn's own, joblib, skops, torch, frames."""

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from sklearn.base import clone
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from burn_svm import LinearSVC, SVMClassifier, SVMClassifierCV, _data, certify


@pytest.mark.parametrize("model", [SVMClassifier(), LinearSVC(), SVMClassifierCV(Cs=2, cv=2)], ids=lambda m: type(m).__name__)
def test_skops(model, blobs):
    """Types of NumPy and of this package, and nothing else to trust."""
    io = pytest.importorskip("skops.io")
    X, y = blobs
    model = clone(model).fit(X, y)
    stored = io.dumps(model)
    kinds = io.get_untrusted_types(data=stored)
    assert all(kind.startswith("burn_svm.") for kind in kinds), kinds
    np.testing.assert_array_equal(io.loads(stored, trusted=kinds).decision_function(X), model.decision_function(X))


def test_torch(blobs):
    """A tensor on the processor is borrowed, by every method; one that wants a gradient is refused by torch."""
    torch = pytest.importorskip("torch", reason="torch is not installed, too large for the clean environment of python/check.sh")
    X, y = blobs
    model = SVMClassifier().fit(torch.tensor(X), torch.tensor(y))
    np.testing.assert_array_equal(model.coef_, SVMClassifier().fit(X, y).coef_)
    np.testing.assert_array_equal(model.predict(torch.tensor(X)), model.predict(X))
    rows, labels = torch.tensor(X), torch.tensor(y)
    assert _data.native_rows(_data.checked_rows(clone(model), rows, labels, reset=True)[0])[0].ctypes.data == rows.data_ptr()
    weighted = SVMClassifier().fit(rows, labels, torch.ones(len(X)))
    np.testing.assert_array_equal(weighted.coef_, model.coef_)
    assert model.score(rows, labels) == model.score(X, y) and certify(model, rows, labels).gap < 1e-3
    parts = SVMClassifier().fit_blocks([(rows[::2], labels[::2]), (rows[1::2], labels[1::2])])
    assert parts.objective_ <= model.objective_ * (1 + 1e-3)
    with pytest.raises(RuntimeError, match="detach"):
        SVMClassifier().fit(rows.requires_grad_(), labels)


def on_a_map(model, X, y):
    return isinstance(X, np.memmap) and not X.flags.writeable, model.fit(X, y).coef_


def test_memory_maps_of_joblib(blobs):
    """Rows that joblib hands its processes as read-only maps (scikit-learn #15924)."""
    X, y = blobs
    for dtype in (np.uint8, np.float32, np.float64):
        rows = (10 * X).clip(0, 255).astype(dtype)
        work = joblib.Parallel(n_jobs=2, max_nbytes=100)(joblib.delayed(on_a_map)(SVMClassifier(), rows, y) for _ in range(2))
        for mapped, coef in work:
            assert mapped
            np.testing.assert_allclose(coef, SVMClassifier().fit(rows, y).coef_, rtol=1e-9)


@pytest.mark.parametrize("encoder", [OneHotEncoder(sparse_output=False), OrdinalEncoder()], ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_categorical_columns(kind, encoder):
    """Columns of categories go through scikit-learn's transformers and bring their names along."""
    towns, sizes = ["Bern", "Basel", "Chur"] * 20, [1.0, 2.0, 3.0, 4.0] * 15
    if kind == "pandas":
        X = pd.DataFrame({"town": pd.Series(towns, dtype="category"), "size": sizes})
        chosen = make_column_selector(dtype_include="category")
    else:
        X, chosen = pl.DataFrame({"town": pl.Series(towns, dtype=pl.Categorical), "size": sizes}), ["town"]
    encode = make_column_transformer((encoder, chosen), remainder="passthrough").set_output(transform=kind)
    model = make_pipeline(encode, SVMClassifier(C=100.0)).fit(X, towns)
    names = model[-1].feature_names_in_.tolist()
    assert names[-1] == "remainder__size" and model.predict(X).shape == (60,)
    if isinstance(encoder, OneHotEncoder):
        assert len(names) == 4 and model.score(X, towns) == 1.0


@pytest.mark.parametrize("kind", ["default", "pandas", "polars"])
def test_set_output(kind, blobs):
    """A pipeline's frames are its arrays, with names."""
    X, y = blobs
    expected = make_pipeline(StandardScaler(), SVMClassifier()).fit(X, y)
    model = make_pipeline(StandardScaler(), SVMClassifier()).set_output(transform=kind)
    model.fit(pd.DataFrame(X, columns=list("abcde")) if kind != "default" else X, y)
    np.testing.assert_allclose(model[-1].coef_, expected[-1].coef_, rtol=1e-9)
    if kind != "default":
        assert model[-1].feature_names_in_.tolist() == list("abcde")


def test_html(blobs):
    """The notebook's view has the parameters, and says whether the model is fitted."""
    X, y = blobs
    for model in (SVMClassifier(C=0.25), LinearSVC(C=0.25), SVMClassifierCV(Cs=3)):
        before = model._repr_html_()
        assert type(model).__name__ in before and "Not fitted" in before and "sk-estimator" in before
        assert "Not fitted" not in clone(model).fit(X, y)._repr_html_()
    assert "SVMClassifier" in make_pipeline(StandardScaler(), SVMClassifier())._repr_html_()


@pytest.mark.parametrize("model", [SVMClassifier(), LinearSVC(), SVMClassifierCV(Cs=2, cv=2)], ids=lambda m: type(m).__name__)
def test_metadata_routing(model, blobs):
    """Row weights reach `fit` through a pipeline and folds where they are asked for, and only there."""
    X, y = blobs
    wrong = np.arange(len(y)) % 5 == 0
    labels, weights = np.where(wrong, (y + 1) % 3, y), np.where(wrong, 0.0, 1.0)
    with sklearn.config_context(enable_metadata_routing=True):
        asked = make_pipeline(StandardScaler().set_fit_request(sample_weight=True), clone(model).set_fit_request(sample_weight=True))
        asked.fit(X, labels, sample_weight=weights)
        assert asked.score(X[~wrong], y[~wrong]) > 0.7
        unasked = make_pipeline(StandardScaler(), clone(model))
        with pytest.raises(sklearn.exceptions.UnsetMetadataPassedError, match="sample_weight"):
            unasked.fit(X, labels, sample_weight=weights)
        routed = clone(model).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        scores = cross_val_score(routed, X, labels, cv=3, params={"sample_weight": weights})
        plain = cross_val_score(clone(model).set_fit_request(sample_weight=False).set_score_request(sample_weight=False), X, labels, cv=3)
    assert scores.mean() > plain.mean()


def test_grid_search_routes_weights(blobs):
    """Two rows of weight 1 are one of weight 2, through a search as well."""
    X, y = blobs
    with sklearn.config_context(enable_metadata_routing=True):
        model = SVMClassifier().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        search = GridSearchCV(model, {"C": [0.1, 1.0]}, cv=3).fit(X, y, sample_weight=np.full(len(y), 2.0))
    alone = SVMClassifier(C=search.best_params_["C"]).fit(X, y, np.full(len(y), 2.0))
    np.testing.assert_allclose(search.best_estimator_.coef_, alone.coef_, rtol=1e-9)


def test_progress_bar_of_scikit_learn(capsys):
    """Its callback draws a bar for a fit, and for the fits of a search."""
    callback = pytest.importorskip("sklearn.callback", reason="scikit-learn before 1.9")
    pytest.importorskip("rich")
    rng = np.random.default_rng(0)
    X, y = rng.random((20_000, 50), dtype=np.float32), rng.integers(0, 5, 20_000)
    model = SVMClassifier(C=1.0, max_seconds=1, tol=1e-9, solver_params={"finish": "never"})
    model.set_callbacks(callback.ProgressBar()).fit(X, y)
    assert "SVMClassifier" in "".join(capsys.readouterr())
