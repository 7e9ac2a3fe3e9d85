"""Models from files."""

import os

import numpy as np

from . import _data, _native
from ._base import LinearClassifier, written
from ._certify import certified


class Model(LinearClassifier):
    """A trained model of the program, of Rust or of Python; :func:`load` makes one.

    Attributes
    ----------
    coef_, intercept_, classes_, n_features_in_, feature_names_in_
        As of :class:`SVMClassifier`. Labels are integers where all names of classes are, else words.
    objective_of_ : dict or None
        The loss and penalty that it was trained for; ``strength`` is the factor of half the squared weights.

    Examples
    --------
    >>> import os, tempfile
    >>> from sklearn.datasets import load_iris
    >>> from burn_svm import Model, SVMClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "iris.safetensors")
    ...     SVMClassifier().fit(X, y).save(path)
    ...     model = Model(path).fit()
    >>> model.coef_.shape, model.objective_of_["loss"]
    ((3, 4), 'weston_watkins')
    """

    def __init__(self, path=None):
        self.path = path

    def fit(self, X=None, y=None):
        """Read the file; rows and labels have no say.

        Returns
        -------
        self : Model
        """
        model = _native.NativeModel.load(os.fspath(self.path))
        found = model.coefficients()
        if found is None:
            raise ValueError('the model brings rows to unit length, which no weights can do; `burn-svm export --to onnx` can hold it')
        coef, intercept = found
        if len(coef) == 2:
            coef, intercept = coef[1:] - coef[:1], intercept[1:] - intercept[:1]
        self.coef_, self.intercept_ = np.ascontiguousarray(coef), intercept
        names = model.class_names
        whole = all(name.lstrip("-").isdigit() and str(int(name)) == name for name in names)
        self.classes_ = np.array([int(name) for name in names] if whole else names)
        self.n_features_in_ = coef.shape[1]
        if model.feature_names is not None:
            self.feature_names_in_ = np.array(model.feature_names, dtype=object)
        self.image_shape_, self.objective_of_ = model.image_shape, model.objective
        self._file = np.frombuffer(model.to_bytes(), np.uint8)
        return self

    def predict_proba(self, X):
        """Probabilities of the classes, of a model with a temperature."""
        return self._probabilities(X)

    def certify(self, X, y, sample_weight=None, tol=1e-3, n_jobs=None):
        """Prove how far the model is from the optimum of its objective, on the rows that it was trained on.

        Returns
        -------
        certificate : Certificate
        """
        X = _data.checked_rows(self, X, reset=False)
        rows, _ = _data.native_rows(X)
        indices = np.array([self.classes_.tolist().index(label) for label in y], dtype=np.uint32)
        weights = _data.row_weights(sample_weight, X, indices, len(self.classes_))
        return certified(self._native_model(), rows, indices, weights, tol, n_jobs)

    def export(self, path, to="onnx"):
        """Write the model in the format of another program: "npz", "liblinear" or "onnx"."""
        written(path, self._native_model().export(to))


def load(path):
    """A model from a run folder of the program, a model file, or a text model of LIBLINEAR.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    model : Model

    Examples
    --------
    >>> import os, tempfile
    >>> import burn_svm
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> model = burn_svm.LinearSVC().fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "iris.safetensors")
    ...     model.save(path)
    ...     again = burn_svm.load(path)
    >>> bool((again.predict(X) == model.predict(X)).all())
    True
    """
    return Model(os.fspath(path)).fit()
