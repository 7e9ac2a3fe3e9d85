"""The estimators' common part: a fitted linear classifier."""

import json
import os
import pathlib
import warnings
from numbers import Real

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from . import _data, _native

#: Reasons for an end short of the goal.
SHORT = ("epoch_limit", "time_limit", "no_progress")


def options(**changes):
    """Options of the native module, with the library's defaults where nothing else is said."""
    return {
        "loss": "weston_watkins",
        "power": 1,
        "margin": 1.0,
        "smoothing": 0.0,
        "k": None,
        "costs": None,
        "strength": ("c", 1.0),
        "bias": "regularised",
        "bias_scale": 1.0,
        "class_weights": None,
        "solver": '{"dual": {}}',
        "center": "none",
        "scale": "none",
        "calibration": "none",
        "device": "flex",
        "seed": 0,
        "double": False,
        "threads": 1,
    } | changes


def number(name, value):
    """A number, or a sentence."""
    if isinstance(value, Real) and not isinstance(value, (bool, np.bool_)):
        return float(value)
    raise ValueError(f"{name}: found {value!r}, expected a number")


def whole(name, value):
    """A whole number, or a sentence."""
    if number(name, value).is_integer():
        return int(value)
    raise ValueError(f"{name}: found {value!r}, expected a whole number")


def word(name, value):
    """A word, or a sentence."""
    if isinstance(value, str):
        return value
    raise ValueError(f"{name}: found {value!r}, expected a word")


def strengths(Cs):
    """Values of C as numbers above 0, or a sentence."""
    try:
        values = np.asarray(Cs, dtype=float)
    except (TypeError, ValueError):
        values = np.empty(0)
    if values.ndim != 1 or not len(values) or not (values > 0).all():
        raise ValueError(f"Cs: found {Cs!r}, expected a list of numbers above 0")
    return values


def costs_table(costs):
    """Costs as lists of numbers, or a sentence."""
    if costs is None:
        return None
    try:
        table = np.asarray(costs, dtype=float)
    except (TypeError, ValueError):
        table = np.empty(0)
    if table.ndim != 2:
        raise ValueError("costs: expected a square table of numbers, a row for each label and a column for each class")
    return table.tolist()


def solver_table(name, tol, max_iter, max_seconds, extra):
    """The ``[solver]`` table of the program's configuration, as JSON."""
    keys = {
        "auto": ("dual", "gap", "epochs", "seconds"),
        "dual": ("dual", "gap", "epochs", "seconds"),
        "newton": ("newton", "gap", None, "seconds"),
        "lbfgs": ("lbfgs", "tolerance", "epochs", "seconds"),
        "sgd": ("sgd", None, "epochs", None),
    }
    if not isinstance(name, str) or name not in keys:
        raise ValueError(f"solver: found {name!r}, expected one of {', '.join(map(repr, keys))}")
    if not isinstance(extra, (dict, type(None))):
        raise ValueError(f"solver_params: found {extra!r}, expected a dictionary")
    table, *names = keys[name]
    given = (number("tol", tol), max_iter and whole("max_iter", max_iter), max_seconds and number("max_seconds", max_seconds))
    values = {key: value for key, value in zip(names, given, strict=True) if key is not None and value is not None}
    try:
        return json.dumps({table: values | (extra or {})}, default=lambda value: value.item())
    except (TypeError, AttributeError, ValueError):
        raise ValueError(f"solver_params: found {extra!r}, expected numbers, words and dictionaries of them") from None


def warn_if_short(found, tol):
    """A warning with both numbers where the gap is not what was asked for."""
    if found["stop_reason"] in SHORT and found["gap"] > tol:
        warnings.warn(
            f"relative gap {found['gap']:.2e} after {found['epochs']:.0f} epochs, asked for {tol:.2e}: "
            f"{found['stop_sentence']}",
            ConvergenceWarning,
            stacklevel=4,
        )


class LinearClassifier(ClassifierMixin, BaseEstimator):
    """Scores, predictions and files of a classifier with ``coef_``, ``intercept_`` and ``classes_``."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _keep(self, found):
        """Keep what a fit has found."""
        coef, intercept = found["coef"], found["intercept"]
        if len(coef) == 2:
            coef, intercept = coef[1:] - coef[:1], intercept[1:] - intercept[:1]
        self.coef_, self.intercept_ = np.ascontiguousarray(coef), intercept
        self.n_iter_ = max(1, int(np.ceil(found["epochs"])))
        self.objective_, self.dual_objective_, self.gap_ = found["objective"], found["dual_objective"], found["gap"]
        self.stop_reason_, self.fit_seconds_ = found["stop_reason"], found["seconds"]
        self._file = np.frombuffer(found["file"], np.uint8)

    def decision_function(self, X):
        """Scores of rows.

        Parameters
        ----------
        X : {array-like, sparse matrix, frame} of shape (n_samples, n_features)

        Returns
        -------
        scores : ndarray of shape (n_samples, n_classes), or (n_samples,) between two classes
            The largest score wins; between two classes scores above 0 are ``classes_[1]``.
        """
        check_is_fitted(self, "coef_")
        X = _data.checked_rows(self, X, reset=False)
        scores = _data.product(X, self.coef_, self.intercept_)
        return scores[:, 0] if len(self.classes_) == 2 else scores

    def predict(self, X):
        """The class of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix, frame} of shape (n_samples, n_features)

        Returns
        -------
        labels : ndarray of shape (n_samples,)
        """
        scores = self.decision_function(X)
        return self.classes_[(scores > 0).astype(np.intp) if scores.ndim == 1 else scores.argmax(axis=1)]

    def _native_model(self):
        check_is_fitted(self, "coef_")
        return _native.NativeModel.from_bytes(self._file.tobytes())

    def _probabilities(self, X):
        temperature = self._native_model().temperature
        if temperature is None:
            raise AttributeError('the model has no calibration: fit it with calibration="temperature"')
        scores = self.decision_function(X)
        if scores.ndim == 1:
            # The two scores of a row are as far from 0 as each other.
            scores = np.column_stack((-scores / 2, scores / 2))
        scores = scores / temperature
        scores -= scores.max(axis=1, keepdims=True)
        np.exp(scores, out=scores)
        return scores / scores.sum(axis=1, keepdims=True)

    def _model_bytes(self):
        names = getattr(self, "feature_names_in_", None)
        return self._native_model().to_bytes(None if names is None else [str(name) for name in names])

    def save(self, path):
        """Write the model file of the program ``burn-svm``, which Rust, the program and :func:`burn_svm.load` read.

        Parameters
        ----------
        path : path-like
        """
        written(path, self._model_bytes())

    def to_onnx(self, path=None):
        """The model as an ONNX graph, from features to scores and label, in double precision inside.

        Parameters
        ----------
        path : path-like, optional
            A file to write.

        Returns
        -------
        graph : bytes
        """
        graph = _native.NativeModel.from_bytes(self._model_bytes()).export("onnx")
        if path is not None:
            written(path, graph)
        return graph


def written(path, content):
    """Write a file, all or nothing."""
    path = pathlib.Path(path)
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    os.replace(part, path)
