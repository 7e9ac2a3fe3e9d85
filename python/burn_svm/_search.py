"""A search for C on folds, each fit certified."""

import numpy as np
from sklearn.base import clone

from . import _data, _native
from ._base import strengths
from ._classes import CertifiedClassifier, SVMClassifier, class_weights, told


class SVMClassifierCV(CertifiedClassifier):
    """:class:`SVMClassifier` with C found by cross-validation: a path in C on each fold, folds side by side.

    Parameters
    ----------
    Cs : int or array-like of float, default=10
        The values of C, or how many between 1e-4 and 1e4.
    cv : int, cross-validation generator or iterable, default=5
    scoring : str or callable, optional
        Accuracy by default.
    refit : bool, default=True
        Whether a model of ``best_C_`` is fitted to all rows.
    **others
        As of :class:`SVMClassifier`, with a solver that is exact.

    Attributes
    ----------
    Cs_ : ndarray of shape (n_Cs,)
        In rising order.
    scores_ : ndarray of shape (n_folds, n_Cs)
    gaps_ : ndarray of shape (n_folds, n_Cs)
        Relative gaps of the fits.
    best_C_ : float
        The smallest C whose mean score is the best.
    best_score_ : float

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from burn_svm import SVMClassifierCV
    >>> X, y = load_iris(return_X_y=True)
    >>> search = SVMClassifierCV(Cs=[0.01, 1.0, 100.0]).fit(X, y)
    >>> search.scores_.shape, bool(search.gaps_.max() <= 1e-3)
    ((5, 3), True)
    """

    def __init__(
        self,
        Cs=10,
        cv=5,
        scoring=None,
        refit=True,
        loss="weston_watkins",
        power=1,
        margin=1.0,
        smoothing=0.0,
        k=None,
        costs=None,
        bias="regularised",
        bias_scale=1.0,
        class_weight=None,
        solver_params=None,
        tol=1e-3,
        max_iter=None,
        max_seconds=None,
        center="none",
        scale="none",
        device="flex",
        n_jobs=None,
        random_state=0,
        calibration=None,
        verbose=0,
    ):
        self.Cs = Cs
        self.cv = cv
        self.scoring = scoring
        self.refit = refit
        self.loss = loss
        self.power = power
        self.margin = margin
        self.smoothing = smoothing
        self.k = k
        self.costs = costs
        self.bias = bias
        self.bias_scale = bias_scale
        self.class_weight = class_weight
        self.solver_params = solver_params
        self.tol = tol
        self.max_iter = max_iter
        self.max_seconds = max_seconds
        self.center = center
        self.scale = scale
        self.device = device
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.calibration = calibration
        self.verbose = verbose

    def _alone(self, C):
        """The estimator of one C."""
        params = self.get_params(deep=False)
        for name in ("Cs", "cv", "scoring", "refit"):
            params.pop(name)
        return SVMClassifier(C=C, **{name: clone(value, safe=False) for name, value in params.items()})

    def fit(self, X, y, sample_weight=None):
        """Search for C, and fit a model of the best to all rows.

        Parameters
        ----------
        X : {array-like, sparse matrix, frame} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        self : SVMClassifierCV
        """
        X, y = _data.checked_rows(self, X, y, reset=True)
        self.classes_, indices = _data.classes_of(y)
        weights = _data.row_weights(sample_weight, X, indices, len(self.classes_))
        # Not with the package: these two modules take longest to import.
        from sklearn.model_selection import check_cv

        Cs = np.logspace(-4, 4, max(self.Cs, 0)) if isinstance(self.Cs, (int, np.integer)) else self.Cs
        Cs = np.sort(strengths(Cs))
        folds = list(check_cv(self.cv, y, classifier=True).split(X, y))
        found = self._paths(X, y, indices, weights, sample_weight, Cs, [train for train, _ in folds])
        self.Cs_ = Cs
        self.gaps_ = np.array([[fit["gap"] for fit in path] for path in found])
        self.scores_ = np.array([self._scores(X, y, test, path) for (_, test), path in zip(folds, found, strict=True)])
        means = self.scores_.mean(axis=0)
        self.best_score_, self.best_C_ = float(means.max()), float(Cs[means.argmax()])
        if self.refit:
            self._refit(X, y, sample_weight)
        return self

    def _refit(self, X, y, sample_weight):
        model = self._alone(self.best_C_).fit(X, y, sample_weight)
        names = ("coef_", "intercept_", "n_iter_", "objective_", "dual_objective_", "gap_", "stop_reason_", "fit_seconds_", "_file")
        for name in names:
            setattr(self, name, getattr(model, name))

    def _paths(self, X, y, indices, weights, sample_weight, Cs, trains):
        """A path of fits for each set of rows, all of them in one call."""
        model = self._alone(float(Cs[0]))
        model.calibration = None
        rows, double = _data.native_rows(X)
        by_class = class_weights(self.class_weight, self.classes_, y, sample_weight)
        settings = model._options(by_class, double)
        sets = [np.ascontiguousarray(train, dtype=np.uint32) for train in trains]
        names = _data.class_names(self.classes_)
        found, warnings, exception = _native.paths(rows, indices, names, settings, Cs.tolist(), sets, weights)
        if exception is not None:
            raise exception
        told(dict.fromkeys(warnings))
        return found

    def _scores(self, X, y, test, path):
        """Scores of the models of a path on rows that they have not seen."""
        rows, labels = X[test], y[test]
        if self.scoring is None:
            coefs = np.concatenate([fit["coef"] for fit in path])
            intercepts = np.concatenate([fit["intercept"] for fit in path])
            scores = _data.product(rows, coefs, intercepts).reshape(len(labels), len(path), -1)
            hits = self.classes_[scores.argmax(axis=2)] == labels[:, None]
            return hits.mean(axis=0)
        from sklearn.metrics import get_scorer

        scorer = get_scorer(self.scoring) if isinstance(self.scoring, str) else self.scoring
        out = []
        for C, fit in zip(self.Cs_, path, strict=True):
            model = self._alone(float(C))
            model.classes_, model.n_features_in_ = self.classes_, self.n_features_in_
            model._keep(fit)
            try:
                out.append(scorer(model, rows, labels))
            except AttributeError as error:
                raise ValueError(
                    f"scoring: found {self.scoring!r}, expected one that needs no probabilities, for which GridSearchCV fits a calibration in each fold"
                ) from error
        return out
