"""Certificates of linear classifiers, whoever trained them."""

from dataclasses import dataclass

import numpy as np
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.validation import check_array, check_is_fitted, column_or_1d

from . import _data, _native
from ._base import LinearClassifier, options


@dataclass(frozen=True)
class Certificate:
    """An objective, and a lower bound of it at any weights.

    Attributes
    ----------
    objective : float
        At the weights of the model, in the mean form.
    dual_objective : float
        The bound.
    gap : float
        ``(objective - dual_objective) / objective``, rounding errors counted in.

    Examples
    --------
    >>> from burn_svm import Certificate
    >>> proof = Certificate(objective=1.02, dual_objective=1.0, gap=0.02 / 1.02)
    >>> print(proof)
    objective 1.02, at most 2 % above its optimum
    """

    objective: float
    dual_objective: float
    gap: float

    @property
    def excess(self):
        """How far the model is above the optimum at most, as a share of the optimum; infinite where nothing is proved."""
        return self.objective / self.dual_objective - 1 if self.dual_objective > 0 else float("inf")

    def __str__(self):
        share = f"at most {100 * self.excess:.3g} % above its optimum" if self.dual_objective > 0 else "of no proved optimum"
        return f"objective {self.objective:.6g}, {share}"


def certified(model, rows, indices, weights, tol, n_jobs):
    """The certificate of a native model."""
    return Certificate(*model.certify(rows, indices, float(tol), _data.threads(n_jobs), weights))


def certify(model, X, y, sample_weight=None, *, loss=None, power=1, C=None, bias=None, tol=1e-3, n_jobs=None):
    """Prove how far a linear classifier is from the optimum of the objective that it was trained for.

    Parameters
    ----------
    model : fitted classifier
        An estimator of this package, :class:`sklearn.svm.LinearSVC`, :class:`sklearn.linear_model.SGDClassifier` with a hinge, or anything with
        ``coef_``, ``intercept_`` and ``classes_``, for which ``loss`` and ``C`` say the objective.
    X, y, sample_weight
        The rows that it was trained on.
    loss, power, C, bias
        The objective of another model, as of :class:`SVMClassifier`; ``bias`` is "regularised" unless ``intercept_`` is 0.
    tol : float, default=1e-3
        The bound is tightened until the exact solver has this relative gap.
    n_jobs : int, optional
        Threads.

    Returns
    -------
    certificate : Certificate

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.svm import LinearSVC
    >>> import burn_svm
    >>> X, y = load_iris(return_X_y=True)
    >>> proof = burn_svm.certify(LinearSVC(tol=1e-9, max_iter=100_000).fit(X, y), X, y)
    >>> proof.gap < 1e-3
    True
    """
    check_is_fitted(model)
    if isinstance(model, LinearClassifier) and hasattr(model, "certify"):
        if loss is not None or C is not None or bias is not None:
            raise ValueError("loss, C and bias: found one for a model that has its own, expected none")
        return model.certify(X, y, sample_weight, tol=tol)
    if not all(hasattr(model, name) for name in ("coef_", "intercept_", "classes_")):
        raise ValueError(f"model: found {type(model).__name__}, expected one with coef_, intercept_ and classes_")
    settings, by_class, positive_only = _objective(model, loss, power, C, bias)
    X = check_array(_data.of_dlpack(X), accept_sparse="csr", accept_large_sparse=True)
    y = column_or_1d(_data.of_dlpack(y))
    classes = np.asarray(model.classes_)
    indices = _data.index_of(classes, y)
    weights = _data.row_weights(sample_weight, X, indices, len(classes))
    rows, _ = _data.native_rows(X)
    if by_class is not None:
        by_class = compute_class_weight(by_class, classes=classes, y=y, sample_weight=sample_weight if by_class == "balanced" else None)
    coef = np.atleast_2d(np.asarray(model.coef_, dtype=np.float64))
    intercept = np.broadcast_to(np.asarray(model.intercept_, dtype=np.float64), len(coef))
    if len(coef) != (1 if len(classes) == 2 else len(classes)) or hasattr(model, "decision_function_shape"):
        raise ValueError(f"model: found {type(model).__name__} with {len(coef)} rows of coef_ for {len(classes)} classes, expected a row for each class")
    if coef.shape[1] != X.shape[1]:
        raise ValueError(f"X: found {X.shape[1]} features, expected {coef.shape[1]} as in training")

    def of(coef, intercept, indices, names, by_class, **changes):
        each = settings | changes | {"class_weights": by_class, "double": True}
        intercept = None if settings["bias"] == "none" else np.ascontiguousarray(intercept)
        native = _native.NativeModel.of_weights(np.ascontiguousarray(coef.T).ravel(), intercept, names, each, X.shape[0])
        return certified(native, rows, indices, weights, tol, n_jobs)

    names = _data.class_names(classes)
    kind, strength = settings["strength"]
    halved = {"loss": "weston_watkins", "strength": (kind, strength / 2 if kind == "c" else 2 * strength)}
    if len(coef) == 1:
        # Between two classes w and -w cost half of what one vector of 2w costs.
        both, biases = np.vstack((-coef, coef)) / 2, np.concatenate((-intercept, intercept)) / 2
        changes = {} if settings["loss"] != "one_vs_rest" else halved
        by_class = None if by_class is None else by_class.tolist()
        return of(both, biases, indices, names, by_class, **changes)
    if by_class is None or not positive_only:
        return of(coef, intercept, indices, names, None if by_class is None else by_class.tolist())
    parts = [
        of(
            np.vstack((-w, w)) / 2,
            np.array([-b, b]) / 2,
            (indices == k).astype(np.uint32),
            ["rest", names[k]],
            [1.0, by_class[k]],
            **halved,
        )
        for k, (w, b) in enumerate(zip(coef, intercept, strict=True))
    ]
    objective, dual = sum(p.objective for p in parts), sum(p.dual_objective for p in parts)
    return Certificate(objective, dual, sum(p.gap * p.objective for p in parts) / objective)


def _objective(model, loss, power, C, bias):
    """The options of the objective of a model, its class weights, and whether those of one-vs-rest are of positive rows only."""
    name = type(model).__name__
    params = model.get_params() if hasattr(model, "get_params") else {}
    if loss is not None or C is not None:
        if loss is None or C is None:
            raise ValueError("loss and C: found one of the two, expected both")
        bias = bias or ("regularised" if np.any(model.intercept_) else "none")
        return options(loss=loss, power=power, strength=("c", float(C)), bias=bias), None, False
    if name == "LinearSVC":
        if params["penalty"] != "l2":
            raise ValueError(f"penalty: found {params['penalty']!r}, expected 'l2', whose optimum can be bounded")
        joint = params["multi_class"] == "crammer_singer"
        settings = options(
            loss="crammer_singer" if joint else "one_vs_rest",
            power=1 if joint or params["loss"] == "hinge" else 2,
            strength=("c", float(params["C"])),
            bias="regularised" if params["fit_intercept"] else "none",
            bias_scale=float(params["intercept_scaling"]),
        )
        return settings, params["class_weight"], not joint
    if name == "SGDClassifier":
        powers = {"hinge": 1, "squared_hinge": 2}
        if params["loss"] not in powers or params["penalty"] != "l2":
            raise ValueError(
                f"loss and penalty: found {params['loss']!r} and {params['penalty']!r}, expected 'hinge' or 'squared_hinge' and 'l2'"
            )
        settings = options(
            loss="one_vs_rest",
            power=powers[params["loss"]],
            strength=("lambda", float(params["alpha"])),
            bias="free" if params["fit_intercept"] else "none",
        )
        return settings, params["class_weight"], True
    raise ValueError(f"model: the objective of {name} is not known here; say it with loss and C")
