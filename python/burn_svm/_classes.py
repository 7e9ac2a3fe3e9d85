"""The estimators SVMClassifier and LinearSVC."""

import os
from numbers import Real

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from . import _data, _native
from ._base import LinearClassifier, costs_table, number, options, solver_table, strengths, warn_if_short, whole, word
from ._certify import certified
from ._progress import CallbackSupportMixin, Progress, printed, with_callbacks


def class_weights(class_weight, classes, y, sample_weight):
    """A weight for each class, or None where all are 1."""
    if class_weight is None:
        return None
    balanced = isinstance(class_weight, str)
    weights = sample_weight if balanced and sample_weight is not None else None
    return compute_class_weight(class_weight, classes=classes, y=y, sample_weight=weights)


def _calibrated(estimator):
    if estimator.calibration is None:
        raise AttributeError('predict_proba needs calibration="temperature"')
    return True


class CertifiedClassifier(LinearClassifier):
    """The common part of SVMClassifier and SVMClassifierCV."""

    @available_if(_calibrated)
    def predict_proba(self, X):
        """Probabilities of the classes; the largest is that of the predicted class.

        Parameters
        ----------
        X : {array-like, sparse matrix, frame} of shape (n_samples, n_features)

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
        """
        return self._probabilities(X)

    def certify(self, X, y, sample_weight=None, tol=1e-3):
        """Prove how far the model is from the optimum of its objective, on the rows that it was trained on.

        Returns
        -------
        certificate : Certificate
        """
        model = self._native_model()
        X = _data.checked_rows(self, X, reset=False)
        rows, _ = _data.native_rows(X)
        indices = _data.index_of(self.classes_, y)
        weights = _data.row_weights(sample_weight, X, indices, len(self.classes_))
        return certified(model, rows, indices, weights, tol, self.n_jobs)


class SVMClassifier(CallbackSupportMixin, CertifiedClassifier):
    """Multiclass linear support vector machine, solved to a proved optimum.

    The objective, with n the number of rows, is::

        P(W, b) = (1/n) sum_i weight_i * loss(x_i W + b, y_i) + (1 / (2 C n)) * (|W|^2 + |b|^2 / bias_scale^2)

    Problems of few features are solved until the weights stand still, whatever ``tol`` is.

    Parameters
    ----------
    loss : {"weston_watkins", "crammer_singer", "one_vs_rest", "top_k"}, default="weston_watkins"
        The sum over the other classes, the worst of them, each class against the rest, or the mean of the ``k`` worst.
    power : {1, 2}, default=1
        Hinge or squared hinge.
    C : float, default=1.0
        Weight of the losses against the penalty, as LIBLINEAR has it.
    margin : float, default=1.0
        The margin that a row is to keep.
    smoothing : float, default=0.0
        Width of Nesterov's smoothing of the hinge; 0 is none.
    k : int, optional
        Of "top_k".
    costs : array-like of shape (n_classes, n_classes), optional
        Margin between a label (row) and another class (column) in the place of ``margin``; 0 on the diagonal.
    bias : {"regularised", "free", "none"}, default="regularised"
        Whether there is a bias, and whether it is penalised.
    bias_scale : float, default=1.0
        Of a regularised bias, the value of the constant feature that it stands for.
    class_weight : dict, "balanced" or None, default=None
        Factors of the losses by class.
    solver : {"auto", "dual", "newton", "lbfgs", "sgd"}, default="auto"
        "auto" and "dual" are exact, and hand over to a method of second order by themselves.
    solver_params : dict, optional
        Further keys of the solver's table in ``configs/reference.toml``, for example ``{"learning_rate": 0.1}``.
    tol : float, default=1e-3
        Relative duality gap to prove; of "lbfgs" the share of the gradient that is left; not used by "sgd".
    max_iter : int, optional
        Passes over the rows, at most; not used by "newton".
    max_seconds : float, optional
        Seconds in the solver, at most; not used by "sgd".
    center : {"none", "mean"}, default="none"
        Centring of the features, folded into the weights.
    scale : {"none", "pixel", "std", "minmax"}, default="none"
        Scaling of the features, folded into the weights.
    device : str, default="flex"
        "flex" is the processor; "wgpu", "wgpu:0", "wgpu:cpu".
    n_jobs : int, optional
        Threads; all cores by default, one within workers of joblib and Dask.
    random_state : int, RandomState instance or None, default=0
        Seed of orders and folds.
    calibration : {"temperature"}, optional
        For :meth:`predict_proba`, fitted on the scores of five folds: six fits in all.
    verbose : int, default=0
        1 prints lines of progress.

    Attributes
    ----------
    coef_ : ndarray of shape (n_classes, n_features), or (1, n_features) between two classes
        Weights for the features as they are, in double precision.
    intercept_ : ndarray of shape (n_classes,) or (1,)
    classes_ : ndarray of shape (n_classes,)
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
    n_iter_ : int
        Passes over the rows; of Newton's methods iterations.
    objective_, dual_objective_ : float
        P above at the weights, and a lower bound of P at any weights.
    gap_ : float
        ``(objective_ - dual_objective_) / objective_``, rounding errors counted in.
    stop_reason_ : str
        "gap_reached" at the goal.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from burn_svm import SVMClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> model = SVMClassifier(loss="crammer_singer", C=0.01).fit(X, y)
    >>> model.score(X, y) > 0.99, model.stop_reason_
    (True, 'gap_reached')
    """

    def __init__(
        self,
        loss="weston_watkins",
        power=1,
        C=1.0,
        margin=1.0,
        smoothing=0.0,
        k=None,
        costs=None,
        bias="regularised",
        bias_scale=1.0,
        class_weight=None,
        solver="auto",
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
        self.loss = loss
        self.power = power
        self.C = C
        self.margin = margin
        self.smoothing = smoothing
        self.k = k
        self.costs = costs
        self.bias = bias
        self.bias_scale = bias_scale
        self.class_weight = class_weight
        self.solver = solver
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

    def _options(self, weights, double):
        """Options for the native module."""
        if self.scale == "unit-row":
            raise ValueError(
                'scale: found "unit-row", which no weights can hold; put sklearn.preprocessing.Normalizer before the estimator'
            )
        if self.calibration not in (None, "temperature"):
            raise ValueError(f'calibration: found {self.calibration!r}, expected None or "temperature"')
        if self.loss == "top_k" and self.k is None:
            raise ValueError("k: found None, expected the number of classes that top_k charges")
        return options(
            loss=word("loss", self.loss),
            power=whole("power", self.power),
            margin=number("margin", self.margin),
            smoothing=number("smoothing", self.smoothing),
            k=None if self.k is None else whole("k", self.k),
            costs=costs_table(self.costs),
            strength=("c", number("C", self.C)),
            bias=word("bias", self.bias),
            bias_scale=number("bias_scale", self.bias_scale),
            class_weights=None if weights is None else weights.tolist(),
            solver=solver_table(self.solver, self.tol, self.max_iter, self.max_seconds, self.solver_params),
            center=word("center", self.center),
            scale=word("scale", self.scale),
            calibration=self.calibration or "none",
            device=word("device", self.device),
            seed=_data.seed(self.random_state),
            double=double,
            threads=_data.threads(self.n_jobs),
        )

    def _data(self, X, y, sample_weight):
        """Checked rows, and the arguments of the native module but its options, whose class weights and precision come last."""
        X, y = _data.checked_rows(self, X, y, reset=True)
        self.classes_, indices = _data.classes_of(y)
        weights = _data.row_weights(sample_weight, X, indices, len(self.classes_))
        by_class = class_weights(self.class_weight, self.classes_, y, sample_weight)
        rows, double = _data.native_rows(X)
        return (rows, indices, _data.class_names(self.classes_)), weights, by_class, double

    @with_callbacks
    def fit(self, X, y, sample_weight=None):
        """Fit the model.

        Ctrl-C ends the fit early; the weights so far stay on the estimator.

        Parameters
        ----------
        X : {array-like, sparse matrix, frame} of shape (n_samples, n_features)
            Arrays of float32 and uint8 in C order and CSR matrices of float32 with 32-bit indices are not copied.
        y : array-like of shape (n_samples,)
            Labels of any kind.
        sample_weight : array-like of shape (n_samples,), optional
            Factors of the losses of the rows.

        Returns
        -------
        self : SVMClassifier
        """
        data, weights, by_class, double = self._data(X, y, sample_weight)
        progress = Progress(self, X, y)
        self._take(*_native.fit(*data, self._options(by_class, double), weights, progress.teller()))
        progress.close()
        return self

    def _take(self, found, warnings, exception):
        """Keep a fit, warn, and raise what ended it early."""
        told(warnings)
        self._keep(found)
        if exception is not None:
            raise exception
        if self.solver in ("auto", "dual", "newton"):
            warn_if_short(found, self.tol)

    def fit_blocks(self, blocks, classes=None, memory=None):
        """Fit the model to rows that come in blocks, of which one or two are in memory at a time.

        The optimum, and its proof, are those of all rows together. ``max_iter`` counts passes over the rows.

        Parameters
        ----------
        blocks : path, or iterable of tuples (X, y) or (X, y, sample_weight)
            The path of a folder that ``burn-svm pack`` has made, whose rows and dual variables stay on the disk. An iterable without ``memory`` is
            iterated several times and gives the same blocks each time: a list, or an object whose ``__iter__`` is a generator function; in memory
            stay, besides, the dual variables (16 bytes a row and class) and at most 256 MiB of rows that tie the blocks together. With ``memory`` it
            is iterated once, and its rows are packed into a folder for temporary files, which is removed at the end.
        classes : array-like, optional
            All classes, where not every one need occur; of a folder their labels in its order, by default their names.
        memory : int, optional
            Bytes that training from the disk may take besides what Python has, 2**20 or more; 2**30 by default.

        Returns
        -------
        self : SVMClassifier
        """
        from ._parts import BlocksTransport, PartsClassifier

        if self.solver not in ("auto", "dual") or self.calibration is not None or self.device != "flex":
            raise ValueError("fit_blocks: found another solver, a calibration or a device, expected the exact solver on the processor")
        if isinstance(blocks, (str, os.PathLike)) or memory is not None:
            from . import _blocks

            if isinstance(blocks, (str, os.PathLike)):
                return _blocks.fit_folder(self, blocks, _blocks.bytes_of(memory), None if classes is None else np.asarray(classes))
            return _blocks.fit_packed(self, blocks, _blocks.bytes_of(memory), classes)
        params = self.get_params(deep=False)
        model = PartsClassifier(**{name: params[name] for name in PartsClassifier().get_params() if name in params}, snapshot_rounds=0)
        model._fit(BlocksTransport(blocks), classes)
        for name, value in vars(model).items():
            if name.endswith("_") or name == "_file":
                setattr(self, name, value)
        return self

    def path(self, X, y, Cs, sample_weight=None):
        """Fit a model for each of several C, each from where the one before it ended.

        Parameters
        ----------
        X, y, sample_weight
            As of :meth:`fit`.
        Cs : array-like of float

        Returns
        -------
        models : list of SVMClassifier
            One for each C, in their order.
        """
        Cs = strengths(Cs)
        if self.solver not in ("auto", "dual") or self.calibration is not None:
            return [clone(self).set_params(C=float(C)).fit(X, y, sample_weight) for C in Cs]
        data, weights, by_class, double = self._data(X, y, sample_weight)
        order = np.argsort(Cs, kind="stable")
        every = np.arange(len(data[1]), dtype=np.uint32)
        sorted_cs = [float(Cs[i]) for i in order]
        found, warnings, exception = _native.paths(
            *data, self._options(by_class, double), sorted_cs, [every], weights, printed if self.verbose else None
        )
        if exception is not None:
            raise exception
        models = [None] * len(order)
        for i, one in zip(order, found[0], strict=True):
            models[i] = self._copy(float(Cs[i]))
            models[i]._take(one, [], None)
        told(warnings)
        return models

    def _copy(self, C):
        """An estimator of another C that has seen the same rows."""
        model = clone(self).set_params(C=C)
        for name in ("classes_", "n_features_in_", "feature_names_in_"):
            if hasattr(self, name):
                setattr(model, name, getattr(self, name))
        return model


def told(warnings):
    """Pass warnings of the native module on."""
    import warnings as python

    for text in warnings:
        python.warn(text, UserWarning, stacklevel=4)


class LinearSVC(LinearClassifier):
    """Drop-in for :class:`sklearn.svm.LinearSVC`: its parameters and attributes, at the proved optimum.

    The objective is LIBLINEAR's, the intercept a constant feature of value ``intercept_scaling``. Class weights of "ovr" weigh the rows of the
    class itself, as there.

    Parameters
    ----------
    penalty : {"l2"}, default="l2"
    loss : {"hinge", "squared_hinge"}, default="squared_hinge"
    dual : bool or "auto", default="auto"
        Not used; False with the hinge is refused, as there.
    tol : float, default=1e-4
        Relative duality gap to prove.
    C : float, default=1.0
    multi_class : {"ovr", "crammer_singer"}, default="ovr"
    fit_intercept : bool, default=True
    intercept_scaling : float, default=1.0
    class_weight : dict, "balanced" or None, default=None
    verbose : int, default=0
    random_state : int, RandomState instance or None, default=None
    max_iter : int, default=1000
        Passes over the rows, at most, where it is another number than scikit-learn's default, which here is no limit.
    n_jobs : int, optional
        Threads; all cores by default, one within workers of joblib and Dask.

    Attributes
    ----------
    coef_, intercept_, classes_, n_features_in_, feature_names_in_, n_iter_
        As of scikit-learn's.
    objective_, dual_objective_, gap_, stop_reason_
        As of :class:`SVMClassifier`; of "ovr" summed over the classes, one problem between two classes.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from burn_svm import LinearSVC
    >>> X, y = load_iris(return_X_y=True)
    >>> LinearSVC().fit(X, y).coef_.shape
    (3, 4)
    """

    def __init__(
        self,
        penalty="l2",
        loss="squared_hinge",
        *,
        dual="auto",
        tol=1e-4,
        C=1.0,
        multi_class="ovr",
        fit_intercept=True,
        intercept_scaling=1,
        class_weight=None,
        verbose=0,
        random_state=None,
        max_iter=1000,
        n_jobs=None,
    ):
        self.penalty = penalty
        self.loss = loss
        self.dual = dual
        self.tol = tol
        self.C = C
        self.multi_class = multi_class
        self.fit_intercept = fit_intercept
        self.intercept_scaling = intercept_scaling
        self.class_weight = class_weight
        self.verbose = verbose
        self.random_state = random_state
        self.max_iter = max_iter
        self.n_jobs = n_jobs

    def _check(self):
        """Refuse what the parameters cannot mean."""
        if self.penalty == "l1":
            raise ValueError(
                f"Unsupported set of arguments: penalty='l1', loss={self.loss!r}, dual={self.dual}: this solver has no l1 penalty; "
                "sklearn.svm.LinearSVC has it, with loss='squared_hinge' and dual=False"
            )
        if self.loss == "hinge" and self.dual is False and self.multi_class != "crammer_singer":
            raise ValueError(
                f"Unsupported set of arguments: penalty={self.penalty!r}, loss='hinge', dual=False: scikit-learn refuses them, too; dual='auto' fits the hinge"
            )
        allowed = (
            ("penalty", self.penalty, ("l2",)),
            ("loss", self.loss, ("hinge", "squared_hinge")),
            ("multi_class", self.multi_class, ("ovr", "crammer_singer")),
        )
        for name, value, words in allowed:
            if value not in words:
                raise ValueError(f"{name}: found {value!r}, expected one of {', '.join(map(repr, words))}")
        for name, value in (("C", self.C), ("tol", self.tol), ("intercept_scaling", self.intercept_scaling)):
            if not isinstance(value, Real) or not value > 0:
                raise ValueError(f"{name}: found {value!r}, expected a number above 0")

    def _options(self, double):
        limit = None if self.max_iter == 1000 else self.max_iter
        crammer_singer = self.multi_class == "crammer_singer"
        return options(
            loss="crammer_singer" if crammer_singer else "one_vs_rest",
            power=1 if crammer_singer or self.loss == "hinge" else 2,
            strength=("c", float(self.C)),
            bias="regularised" if self.fit_intercept else "none",
            bias_scale=float(self.intercept_scaling),
            solver=solver_table("dual", self.tol, limit, None, None),
            seed=_data.seed(self.random_state),
            double=double,
            threads=_data.threads(self.n_jobs),
        )

    def fit(self, X, y, sample_weight=None):
        """Fit the model.

        Parameters
        ----------
        X : {array-like, sparse matrix, frame} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        self : LinearSVC
        """
        self._check()
        X, y = _data.checked_rows(self, X, y, reset=True)
        self.classes_, indices = _data.classes_of(y)
        weights = _data.row_weights(sample_weight, X, indices, len(self.classes_))
        self.class_weight_ = class_weights(self.class_weight, self.classes_, y, sample_weight)
        rows, double = _data.native_rows(X)
        names, settings = _data.class_names(self.classes_), self._options(double)
        found = fit_like_liblinear(
            rows, indices, names, settings, weights, self.class_weight_, printed if self.verbose else None
        )
        if self.class_weight_ is None:
            self.class_weight_ = np.ones(len(self.classes_))
        found, warnings, exception = found
        told(warnings)
        self._keep(found)
        if exception is not None:
            raise exception
        warn_if_short(found, self.tol)
        return self

    def sparsify(self):
        """Keep ``coef_`` as a CSR matrix.

        Returns
        -------
        self : LinearSVC
        """
        check_is_fitted(self)
        self.coef_ = sp.csr_matrix(self.coef_)
        return self

    def densify(self):
        """Keep ``coef_`` as an array again.

        Returns
        -------
        self : LinearSVC
        """
        check_is_fitted(self)
        if sp.issparse(self.coef_):
            self.coef_ = self.coef_.toarray()
        return self


def fit_like_liblinear(rows, indices, names, settings, weights, by_class, progress):
    """Fit the problems that LIBLINEAR makes of options: between two classes one, of "ovr" with class weights one for each class."""
    n_classes = len(names)
    apart = settings["loss"] == "one_vs_rest" and (n_classes == 2 or by_class is not None)
    by_class = None if by_class is None else by_class.tolist()
    if not apart:
        return _native.fit(rows, indices, names, settings | {"class_weights": by_class}, weights, progress)
    # Weights w and -w cost half of what LIBLINEAR's one vector of 2w costs.
    settings = settings | {"loss": "weston_watkins", "strength": ("c", settings["strength"][1] / 2)}
    if n_classes == 2:
        return _native.fit(rows, indices, names, settings | {"class_weights": by_class}, weights, progress)
    return _merged(rows, indices, names, settings, weights, by_class, progress)


def _merged(rows, indices, names, settings, weights, by_class, progress):
    """A problem for each class against the rest, whose rows weigh 1."""
    parts, warnings, exception = [], [], None
    for k in range(len(names)):
        part = settings | {"class_weights": [1.0, by_class[k]]}
        found, more, exception = _native.fit(
            rows, (indices == k).astype(np.uint32), ["rest", names[k]], part, weights, progress
        )
        parts.append(found)
        warnings += more
        if exception is not None:
            break
    coef = np.stack([part["coef"][1] - part["coef"][0] for part in parts])
    intercept = np.array([part["intercept"][1] - part["intercept"][0] for part in parts])
    if len(parts) < len(names):
        raise exception
    objective, dual = (sum(part[key] for part in parts) for key in ("objective", "dual_objective"))
    worst = max(parts, key=lambda part: (part["stop_reason"] != "gap_reached", part["gap"]))
    found = worst | {
        "coef": coef,
        "intercept": intercept,
        "objective": objective,
        "dual_objective": dual,
        "gap": (objective - dual) / objective if objective > dual else 0.0,
        "epochs": max(part["epochs"] for part in parts),
        "seconds": sum(part["seconds"] for part in parts),
        "file": _native.NativeModel.liblinear(coef.T.ravel(), intercept, names, settings["power"]).to_bytes(),
    }
    return found, warnings, exception
