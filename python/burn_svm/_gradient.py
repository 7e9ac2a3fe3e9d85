"""Gradient checks of margin losses: the library's, and one's own."""

from dataclasses import dataclass

import numpy as np
from sklearn.utils.validation import check_array, column_or_1d

from . import _data, _native
from ._base import costs_table, number, options, whole, word


@dataclass(frozen=True)
class GradientCheck:
    """The outcome of a gradient check.

    Attributes
    ----------
    passed : bool
    lines : list of str
        One for each coordinate or entry that was looked at, the verdict last.
    cause : str or None
        The likely cause of a failure of one's own gradient.

    Examples
    --------
    >>> import numpy as np
    >>> from burn_svm import check_gradient, loss_and_gradient
    >>> X, y, W = np.eye(3), np.arange(3), np.zeros((3, 3))
    >>> check = check_gradient(-loss_and_gradient("crammer_singer", X, y, W)[1], X, y, W, loss="crammer_singer")
    >>> check.passed, check.cause
    (False, 'the sign is turned')
    """

    passed: bool
    lines: list
    cause: str | None = None

    def __bool__(self):
        return self.passed

    def __str__(self):
        return "\n".join(self.lines)


def _problem(X, y, W):
    """Rows, class indices, number of classes, and weights of their shape."""
    X = np.ascontiguousarray(check_array(X, dtype=np.float64))
    classes, indices = _data.classes_of(column_or_1d(y))
    n_classes = len(classes)
    if W is not None:
        W = np.ascontiguousarray(W, dtype=np.float64)
        if W.ndim == 2 and W.shape[1] > n_classes and np.issubdtype(classes.dtype, np.integer) and classes.min() >= 0:
            # A sample need not have a row of each class.
            n_classes, indices = W.shape[1], np.asarray(y, dtype=np.uint32)
        if W.shape != (X.shape[1], n_classes):
            raise ValueError(f"W: found the shape {W.shape}, expected {(X.shape[1], n_classes)}, features and classes")
    if len(indices) != len(X):
        raise ValueError(f"y: found {len(indices)} labels for {len(X)} rows")
    return X, indices, n_classes, W


def gradcheck(loss, X, y, W=None, *, power=1, margin=1.0, smoothing=0.0, k=None, costs=None, reg=0.0, coordinates=20):
    """Hold numerical, analytic and autodiff gradients of a loss against each other, kinks stepped around.

    Parameters
    ----------
    loss : str
        As of :class:`SVMClassifier`, and so ``power``, ``margin``, ``smoothing``, ``k``, ``costs``.
    X : array-like of shape (n_samples, n_features)
    y : array-like of shape (n_samples,)
    W : array-like of shape (n_features, n_classes), optional
        Where; small random weights by default.
    reg : float, default=0.0
        Factor of the sum of squared weights.
    coordinates : int, default=20
        Coordinates to look at.

    Returns
    -------
    check : GradientCheck

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from burn_svm import gradcheck
    >>> X, y = load_iris(return_X_y=True)
    >>> gradcheck("weston_watkins", X, y, reg=0.1).passed
    True
    """
    X, indices, n_classes, W = _problem(X, y, W)
    settings = _settings(loss, power, margin, smoothing, k, costs)
    flat = None if W is None else W.ravel()
    passed, lines = _native.gradcheck(X, indices, n_classes, settings, 2.0 * float(reg), int(coordinates), flat)
    return GradientCheck(passed, lines)


def _settings(loss, power, margin, smoothing, k, costs):
    if loss == "top_k" and k is None:
        raise ValueError("k: found None, expected the number of classes that top_k charges")
    return options(
        loss=word("loss", loss),
        power=whole("power", power),
        margin=number("margin", margin),
        smoothing=number("smoothing", smoothing),
        k=None if k is None else whole("k", k),
        costs=costs_table(costs),
        bias="none",
        threads=_data.threads(None),
    )


def loss_and_gradient(loss, X, y, W, *, power=1, margin=1.0, smoothing=0.0, k=None, costs=None, reg=0.0):
    """The mean loss of rows at given weights, without a bias, plus ``reg`` times the sum of the squared weights, and the gradient.

    Parameters
    ----------
    loss, power, margin, smoothing, k, costs
        As of :class:`SVMClassifier`.
    X : array-like of shape (n_samples, n_features)
    y : array-like of shape (n_samples,)
    W : array-like of shape (n_features, n_classes)
    reg : float, default=0.0

    Returns
    -------
    value : float
    gradient : ndarray of shape (n_features, n_classes)
        A subgradient where a margin is 0.

    Examples
    --------
    >>> import numpy as np
    >>> from burn_svm import loss_and_gradient
    >>> X, y = np.eye(4), np.arange(4)
    >>> value, gradient = loss_and_gradient("weston_watkins", X, y, np.zeros((4, 4)))
    >>> value                                # three wrong classes, each charged the margin 1
    3.0
    >>> gradient[0]
    array([-0.75,  0.25,  0.25,  0.25])
    """
    X, indices, _, W = _problem(X, y, W)
    value, data, penalty, _ = _loss_and_gradient(X, indices, W, _settings(loss, power, margin, smoothing, k, costs), number("reg", reg))
    return value, data + penalty


def _loss_and_gradient(X, indices, W, settings, reg):
    """Loss, the gradient's parts of the data and of the penalty, and the slopes of the scores."""
    values, slopes = _native.gradient(np.ascontiguousarray(X @ W), indices, settings)
    value = float(values.mean() + reg * np.sum(W * W))
    return value, X.T @ slopes / len(X), 2.0 * reg * W, slopes


def check_gradient(mine, X, y, W, *, reg=0.0, loss="weston_watkins", power=1, margin=1.0, smoothing=0.0, k=None, costs=None, rtol=1e-6):
    """Hold one's own gradient against the right one, entry by entry, with the likely cause of a difference.

    The objective is the mean loss of the rows as they are, without a bias, plus ``reg`` times the sum of the squared weights.

    Parameters
    ----------
    mine : array-like of shape (n_features, n_classes)
        The gradient to judge.
    X : array-like of shape (n_samples, n_features)
    y : array-like of shape (n_samples,)
    W : array-like of shape (n_features, n_classes)
    reg : float, default=0.0
    loss, power, margin, smoothing, k, costs
        As of :class:`SVMClassifier`.
    rtol : float, default=1e-6
        Relative error ``|a - b| / (|a| + |b|)`` up to which entries agree.

    Returns
    -------
    check : GradientCheck

    Examples
    --------
    >>> import numpy as np
    >>> from burn_svm import check_gradient
    >>> rng = np.random.default_rng(0)
    >>> X, y, W = rng.normal(size=(30, 4)), np.arange(30) % 3, rng.normal(size=(4, 3))
    >>> margins = np.maximum(0, X @ W - (X @ W)[np.arange(30), y][:, None] + 1) > 0
    >>> margins[np.arange(30), y] = False
    >>> Q = margins.astype(float)
    >>> Q[np.arange(30), y] = -margins.sum(axis=1)
    >>> print(check_gradient(X.T @ Q / 30, X, y, W, reg=0.5).cause)
    the gradient of the regulariser is missing
    >>> check_gradient(X.T @ Q / 30 + 2 * 0.5 * W, X, y, W, reg=0.5).passed
    True
    """
    X, indices, n_classes, W = _problem(X, y, W)
    mine = np.asarray(mine, dtype=np.float64)
    if mine.shape != W.shape:
        raise ValueError(f"mine: found the shape {mine.shape}, expected {W.shape}, that of W")
    settings = _settings(loss, power, margin, smoothing, k, costs)
    _, data, penalty, slopes = _loss_and_gradient(X, indices, W, settings, reg)
    truth = data + penalty
    tiny = 1e-12 * max(1.0, np.abs(truth).max(initial=0.0))
    error = np.abs(mine - truth) / np.maximum(np.abs(mine) + np.abs(truth), tiny)
    error[np.abs(mine - truth) <= tiny] = 0.0
    error[~np.isfinite(mine)] = np.inf
    wrong = error > rtol
    worst = np.argsort(-error, axis=None)[: min(20, error.size)]
    lines = []
    for j, c in zip(*np.unravel_index(worst, error.shape), strict=True):
        lines.append(f"W[{j}, {c}]: mine {mine[j, c]:.6e}, right {truth[j, c]:.6e}, relative error {error[j, c]:.2e}")
    cause = _cause(mine, data, penalty, X, slopes, indices) if wrong.any() else None
    verdict = f"{(~wrong).sum()} of {wrong.size} entries agree; largest relative error {error.max():.2e}"
    lines.append(verdict + (f"; likely cause: {cause}" if cause else ""))
    return GradientCheck(not wrong.any(), lines, cause)


def _cause(mine, data, penalty, X, slopes, indices):
    """The common mistake that explains a wrong gradient to 1e-6 of it, or None."""
    if not np.isfinite(mine).all():
        return "entries that are no finite numbers"
    n = len(X)
    own = np.zeros_like(slopes)
    own[np.arange(n), indices] = 1.0
    # The row of the right class as if it were another: its margin is always met by exactly the margin.
    own = X.T @ own / n
    guesses = [("the sign is turned", -data - penalty)]
    if np.any(penalty):
        guesses += [
            ("the gradient of the regulariser is missing", data),
            ("the gradient of the regulariser is half of what it should be", data + penalty / 2),
            ("the gradient of the regulariser is twice what it should be", data + 2 * penalty),
            ("the gradient of the regulariser has the wrong sign", data - penalty),
            ("the regulariser is divided by the number of rows, too", data + penalty / n),
            ("the sum over the rows is not divided by their number", n * data + penalty),
            ("the sum over the rows is not divided by their number, and the gradient of the regulariser is missing", n * data),
        ]
    guesses += [
        ("the sum over the rows is not divided by their number", n * (data + penalty)),
        ("the gradient is divided by the number of rows twice", data / n + penalty),
        ("the correct class is counted", data + own + penalty),
        ("the part of the correct class is missing", data - X.T @ _of_label(slopes, indices) / n + penalty),
    ]
    size = np.linalg.norm(mine) or 1.0
    for cause, guess in guesses:
        if np.linalg.norm(mine - guess) <= 1e-6 * size:
            return cause
    return None


def _of_label(slopes, indices):
    """The slopes of the rows' own classes alone."""
    out = np.zeros_like(slopes)
    rows = np.arange(len(indices))
    out[rows, indices] = slopes[rows, indices]
    return out
