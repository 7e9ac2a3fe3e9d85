"""Figures with matplotlib: ``pip install "burn-svm[plot]"``."""

import numpy as np
from sklearn.metrics import confusion_matrix


def _axes(ax):
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots()[1]


def plot_path(search, ax=None):
    """Mean scores of a :class:`burn_svm.SVMClassifierCV` over C, with a band of one standard error.

    Parameters
    ----------
    search : fitted SVMClassifierCV
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    ax : matplotlib.axes.Axes

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> from sklearn.datasets import load_iris
    >>> from burn_svm import SVMClassifierCV
    >>> from burn_svm.plot import plot_path
    >>> search = SVMClassifierCV(Cs=[0.1, 1.0, 10.0], cv=3).fit(*load_iris(return_X_y=True))
    >>> plot_path(search).get_xlabel()
    'C'
    """
    ax = _axes(ax)
    mean = search.scores_.mean(axis=0)
    error = search.scores_.std(axis=0, ddof=1) / np.sqrt(len(search.scores_))
    ax.plot(search.Cs_, mean, marker="o")
    ax.fill_between(search.Cs_, mean - error, mean + error, alpha=0.2)
    ax.axvline(search.best_C_, linestyle=":", color="grey")
    ax.set(xscale="log", xlabel="C", ylabel="score", title=f"best C = {search.best_C_:.3g}")
    return ax


def plot_templates(model, shape=None, axes=None):
    """The weights of each class as an image.

    Parameters
    ----------
    model : fitted classifier with ``coef_`` and ``classes_``
    shape : tuple of int, optional
        Height and width; a square by default.
    axes : array-like of matplotlib.axes.Axes, optional
        One for each class.

    Returns
    -------
    axes : ndarray of matplotlib.axes.Axes

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> from sklearn.datasets import load_digits
    >>> from burn_svm import SVMClassifier
    >>> from burn_svm.plot import plot_templates
    >>> model = SVMClassifier(C=0.001).fit(*load_digits(return_X_y=True))
    >>> plot_templates(model, shape=(8, 8)).shape
    (2, 5)
    """
    coef = model.coef_
    if shape is None:
        side = round(coef.shape[1] ** 0.5)
        shape = (side, side)
    if shape[0] * shape[1] != coef.shape[1]:
        raise ValueError(f"shape: found {shape}, expected a height and a width of {coef.shape[1]} features")
    if axes is None:
        import matplotlib.pyplot as plt

        columns = min(5, len(coef))
        rows = -(-len(coef) // columns)
        axes = plt.subplots(rows, columns, squeeze=False, figsize=(2 * columns, 2.2 * rows))[1]
    axes = np.asarray(axes)
    bound = np.abs(coef).max() or 1.0
    names = model.classes_ if len(coef) > 1 else model.classes_[1:]
    for ax in axes.ravel():
        ax.set_axis_off()
    for ax, weights, name in zip(axes.ravel(), coef, names, strict=False):
        ax.imshow(weights.reshape(shape), cmap="RdBu_r", vmin=-bound, vmax=bound)
        ax.set_title(str(name))
    return axes


def plot_confusion(model, X, y, ax=None):
    """The confusion matrix of a classifier on rows.

    Parameters
    ----------
    model : fitted classifier
    X : array-like of shape (n_samples, n_features)
    y : array-like of shape (n_samples,)
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    ax : matplotlib.axes.Axes

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> from sklearn.datasets import load_digits
    >>> from burn_svm import SVMClassifier
    >>> from burn_svm.plot import plot_confusion
    >>> X, y = load_digits(return_X_y=True)
    >>> plot_confusion(SVMClassifier(C=0.001).fit(X, y), X, y).get_ylabel()
    'label'
    """
    ax = _axes(ax)
    counts = confusion_matrix(y, model.predict(X), labels=model.classes_)
    ax.imshow(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(model.classes_))
    ax.set(xticks=ticks, yticks=ticks, xlabel="predicted", ylabel="label")
    ax.set_xticklabels(model.classes_)
    ax.set_yticklabels(model.classes_)
    if len(counts) <= 20:
        for (i, j), count in np.ndenumerate(counts):
            if count:
                ax.text(j, i, str(count), ha="center", va="center", fontsize=8)
    return ax
