"""Certificates of everybody's models, and gradient checks."""

import warnings

import numpy as np
import pytest
import sklearn.svm
from sklearn.linear_model import LogisticRegression, SGDClassifier

import burn_svm
from burn_svm import LinearSVC, SVMClassifier, SVMClassifierCV, certify, check_gradient, gradcheck, loss_and_gradient


def objective_of_liblinear(model, X, y, C, power, weights=None):
    """The mean form of LIBLINEAR's one-vs-rest objective, by hand."""
    weights = np.ones(len(model.classes_)) if weights is None else weights
    coef, total = np.c_[model.coef_, model.intercept_], 0.0
    scores = X @ model.coef_.T + model.intercept_
    signs = [(y == model.classes_[1])] if len(coef) == 1 else [(y == k) for k in model.classes_]
    for k, (w, positive) in enumerate(zip(coef, signs, strict=True)):
        loss = np.maximum(0, 1 - np.where(positive, 1, -1) * scores[:, k]) ** power
        total += w @ w / (2 * C * len(y)) + np.mean(np.where(positive, weights[k], 1.0) * loss)
    return total


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge"])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("tol", [1.0, 1e-10])
def test_scikit_learn(iris, loss, classes, tol):
    X, y = iris
    X, y = X[y < classes], y[y < classes]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = sklearn.svm.LinearSVC(loss=loss, tol=tol, max_iter=3 if tol == 1.0 else 1_000_000, random_state=0).fit(X, y)
    proof = certify(model, X, y)
    expected = objective_of_liblinear(model, X, y, 1.0, 1 if loss == "hinge" else 2)
    assert proof.objective == pytest.approx(expected, rel=1e-9)
    best = LinearSVC(loss=loss, tol=1e-9).fit(X, y)
    assert proof.dual_objective <= best.objective_ * (1 + 1e-9)
    assert proof.dual_objective >= best.objective_ * (1 - 2e-3)
    assert (proof.gap < 1e-3) == (tol != 1.0)
    assert ("at most" in str(proof)) and proof.excess >= 0


def test_class_weights_of_liblinear(iris):
    X, y = iris
    weights = {0: 0.5, 1: 3.0, 2: 1.0}
    model = sklearn.svm.LinearSVC(class_weight=weights, tol=1e-10, max_iter=1_000_000).fit(X, y)
    proof = certify(model, X, y)
    assert proof.objective == pytest.approx(objective_of_liblinear(model, X, y, 1.0, 2, list(weights.values())), rel=1e-9)
    assert proof.gap < 1e-3


def test_sgd(digits):
    X, y = digits
    X = X / 16
    model = SGDClassifier(alpha=1e-3, random_state=0, max_iter=5, tol=None).fit(X, y)
    proof = certify(model, X, y)
    scores = X @ model.coef_.T + model.intercept_
    hinge = np.maximum(0, 1 - np.where(y[:, None] == model.classes_, 1, -1) * scores).sum(axis=1).mean()
    assert proof.objective == pytest.approx(hinge + 5e-4 * (model.coef_**2).sum(), rel=1e-9)
    assert 1e-3 < proof.gap < 1


def test_own_objective(iris):
    X, y = iris
    model = LogisticRegression(max_iter=1000).fit(X, y)
    with pytest.raises(ValueError, match="the objective of LogisticRegression is not known"):
        certify(model, X, y)
    proof = certify(model, X, y, loss="weston_watkins", C=1.0)
    assert proof.dual_objective <= SVMClassifier(tol=1e-9).fit(X, y).objective_ <= proof.objective


def test_own_models(iris):
    X, y = iris
    for model in (SVMClassifier(), LinearSVC(), LinearSVC(class_weight="balanced"), SVMClassifier(bias="free")):
        model.fit(X, y)
        proof = certify(model, X, y)
        assert proof.objective == pytest.approx(model.objective_, rel=1e-6) and proof.gap < 2e-3
    weights = np.random.default_rng(0).random(len(y)).astype(np.float32)
    model = SVMClassifier().fit(X, y, weights)
    assert model.certify(X, y, weights).objective == pytest.approx(model.objective_, rel=1e-6)


def test_wrong_rows_are_refused(iris):
    X, y = iris
    model = sklearn.svm.LinearSVC().fit(X, y)
    with pytest.raises(ValueError, match="found 3 features, expected 4"):
        certify(model, X[:, :3], y)
    with pytest.raises(ValueError, match="not a class of the model"):
        certify(model, X, y + 1)
    with pytest.raises(ValueError, match="found SVC with 3 rows of coef_ for 3 classes, expected a row for each class"):
        certify(sklearn.svm.SVC(kernel="linear").fit(X, y), X, y, loss="one_vs_rest", C=1.0)
    with pytest.raises(ValueError, match="for a model that has its own"):
        certify(SVMClassifier().fit(X, y), X, y, loss="one_vs_rest", C=1.0)


def test_a_path_is_its_fits(digits):
    X, y = digits
    Cs = [1e-2, 1e-4, 1e-3]
    for C, model in zip(Cs, SVMClassifier(tol=1e-4).path(X, y, Cs), strict=True):
        alone = SVMClassifier(C=C, tol=1e-4).fit(X, y)
        assert model.C == C and model.gap_ <= 1e-4
        assert model.objective_ == pytest.approx(alone.objective_, rel=2e-4)


def test_search(digits):
    from sklearn.model_selection import GridSearchCV, StratifiedKFold

    X, y = digits
    Cs, folds = np.logspace(-5, 0, 6), StratifiedKFold(4)
    ours = SVMClassifierCV(Cs=Cs, cv=folds, tol=1e-4).fit(X, y)
    theirs = GridSearchCV(SVMClassifier(tol=1e-4), {"C": Cs}, cv=folds).fit(X, y)
    assert ours.gaps_.max() <= 1e-4 and ours.scores_.shape == (4, 6)
    means = theirs.cv_results_["mean_test_score"]
    np.testing.assert_allclose(ours.scores_.mean(axis=0), means, atol=4e-3)
    assert ours.best_score_ == pytest.approx(theirs.best_score_, abs=4e-3)
    assert ours.score(X, y) > 0.95 and ours.certify(X, y).gap < 1e-3
    again = SVMClassifierCV(Cs=3, cv=3, scoring="f1_macro", refit=False).fit(X, y)
    assert again.best_C_ in again.Cs_ and not hasattr(again, "coef_")


def loops(X, y, W, reg):
    """CS231n's gradient, by loops."""
    gradient = np.zeros_like(W)
    for x, label in zip(X, y, strict=True):
        scores = x @ W
        for j in range(W.shape[1]):
            if j != label and scores[j] - scores[label] + 1 > 0:
                gradient[:, j] += x
                gradient[:, label] -= x
    return gradient / len(X) + 2 * reg * W


def test_gradients_by_hand():
    rng = np.random.default_rng(0)
    X, y, W = rng.normal(size=(40, 6)), rng.integers(0, 4, 40), rng.normal(size=(6, 4))
    right, data = loops(X, y, W, 0.7), loops(X, y, W, 0.0)
    check = check_gradient(right, X, y, W, reg=0.7)
    assert check and check.cause is None and "24 of 24 entries agree" in str(check)
    wrong = {
        "the gradient of the regulariser is missing": data,
        "the gradient of the regulariser is half of what it should be": data + 0.7 * W,
        "the sum over the rows is not divided by their number": 40 * data + 1.4 * W,
        "the sum over the rows is not divided by their number; the gradient of the regulariser is missing": 40 * data,
        "the sign is turned": -right,
        "the entry of Q at the label is one too large: 1 − count in the place of −count": data + X.T @ np.eye(4)[y] / 40 + 1.4 * W,
        "the correct class is counted: −(count + 1) at the label in the place of −count": data - X.T @ np.eye(4)[y] / 40 + 1.4 * W,
    }
    for cause, mine in wrong.items():
        check = check_gradient(mine, X, y, W, reg=0.7)
        assert not check and check.cause == cause
    assert check_gradient(right + rng.normal(size=W.shape), X, y, W, reg=0.7).cause is None
    with pytest.raises(ValueError, match="mine: found the shape"):
        check_gradient(right.T, X, y, W)


@pytest.mark.parametrize("options", [{"loss": "weston_watkins"}, {"loss": "crammer_singer"}, {"loss": "one_vs_rest"}, {"loss": "top_k", "k": 2}])
def test_loss_and_gradient_are_the_objective_of_a_fit(iris, options):
    """P of certify is the loss at those weights, with reg = λ/2."""
    X, y = iris
    model = SVMClassifier(bias="none", tol=1e-9, **options).fit(X, y)
    value, gradient = loss_and_gradient(X=X, y=y, W=model.coef_.T, reg=1 / (2 * len(y)), **options)
    assert value == pytest.approx(model.objective_, rel=1e-9) and gradient.shape == (4, 3)
    W = np.random.default_rng(0).normal(size=(4, 3))
    value, gradient = loss_and_gradient(X=X, y=y, W=W, reg=0.1, **options)
    step = 1e-6 * np.random.default_rng(1).normal(size=W.shape)
    moved = [loss_and_gradient(X=X, y=y, W=W + sign * step, reg=0.1, **options)[0] for sign in (1, -1)]
    assert moved[0] - moved[1] == pytest.approx(2 * np.sum(gradient * step), rel=1e-5)


@pytest.mark.parametrize(
    "options", [{"loss": "weston_watkins"}, {"loss": "crammer_singer", "power": 2}, {"loss": "one_vs_rest"}, {"loss": "top_k", "k": 2}]
)
def test_gradcheck(options):
    rng = np.random.default_rng(0)
    X, y, W = rng.normal(size=(40, 6)), rng.integers(0, 4, 40), rng.normal(size=(6, 4))
    check = gradcheck(X=X, y=y, W=W, reg=0.1, coordinates=8, **options)
    assert check.passed and len(check.lines) == 17 and "coordinates agreed" in check.lines[-1]


def test_version():
    assert burn_svm.__version__.count(".") == 2


def test_figures(digits):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    from burn_svm.plot import plot_confusion, plot_path, plot_templates

    X, y = digits
    search = SVMClassifierCV(Cs=3, cv=3).fit(X, y)
    assert plot_path(search).get_xscale() == "log"
    assert len([ax for ax in plot_templates(search).ravel() if ax.images]) == 10
    assert plot_confusion(search, X, y).get_xlabel() == "predicted"
    with pytest.raises(ValueError, match="a height and a width of 64"):
        plot_templates(search, (7, 9))
