"""Multiclass linear support vector machines with proved optima, in the manner of scikit-learn.

>>> from sklearn.datasets import load_iris
>>> from burn_svm import SVMClassifier
>>> X, y = load_iris(return_X_y=True)
>>> model = SVMClassifier(C=1.0).fit(X, y)
>>> model.gap_ <= 1e-3                  # proved: at most 0.1 % above the optimum
True
"""

from ._certify import Certificate, certify
from ._classes import LinearSVC, SVMClassifier
from ._gradient import GradientCheck, check_gradient, gradcheck, loss_and_gradient
from ._model import Model, load
from ._native import __version__
from ._search import SVMClassifierCV

__all__ = [
    "Certificate",
    "GradientCheck",
    "LinearSVC",
    "Model",
    "SVMClassifier",
    "SVMClassifierCV",
    "__version__",
    "certify",
    "check_gradient",
    "gradcheck",
    "load",
    "loss_and_gradient",
]
