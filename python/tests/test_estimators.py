"""scikit-learn's own checks of estimators, with no expected failure."""

import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator

from burn_svm import LinearSVC, SVMClassifier, SVMClassifierCV

LOSSES = [
    {"loss": "weston_watkins"},
    {"loss": "weston_watkins", "power": 2},
    {"loss": "weston_watkins", "smoothing": 0.5},
    {"loss": "weston_watkins", "bias": "free"},
    {"loss": "crammer_singer"},
    {"loss": "crammer_singer", "power": 2},
    {"loss": "one_vs_rest"},
    {"loss": "one_vs_rest", "power": 2},
    {"loss": "top_k", "k": 1},
    {"tol": 1e-10},
    {"solver": "newton"},
    {"calibration": "temperature"},
]
ESTIMATORS = [
    *(SVMClassifier(**params) for params in LOSSES),
    LinearSVC(),
    LinearSVC(loss="hinge"),
    LinearSVC(multi_class="crammer_singer"),
    LinearSVC(class_weight="balanced"),
    SVMClassifierCV(Cs=3, cv=3),
]


#: Folds of repeated rows are not those of weighted ones: a calibration cannot know, and scikit-learn's CalibratedClassifierCV does not either.
OF_FOLDS = ("check_sample_weight_equivalence_on_dense_data", "check_sample_weight_equivalence_on_sparse_data")


def checks():
    for estimator in ESTIMATORS:
        name = repr(estimator).replace("\n", "")
        for one, check in estimator_checks_generator(estimator):
            if getattr(estimator, "calibration", None) and check.func.__name__ in OF_FOLDS:
                continue
            yield pytest.param(one, check, id=f"{name}-{check.func.__name__}")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("estimator", "check"), list(checks()))
def test_check(estimator, check):
    check(estimator)
