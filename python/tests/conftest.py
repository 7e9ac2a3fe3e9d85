"""Data of several tests."""

import os
import pathlib

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris

#: Real data that lie beside a checkout; tests of them are skipped where they are absent.
SHARED = [pathlib.Path(os.environ.get("BURN_SVM_DATA", "data")), pathlib.Path(__file__).parents[2] / "data"]


@pytest.fixture(scope="session")
def iris():
    return load_iris(return_X_y=True)


@pytest.fixture(scope="session")
def digits():
    return load_digits(return_X_y=True)


@pytest.fixture
def blobs():
    """Rows of three classes that overlap."""
    rng = np.random.default_rng(0)
    y = np.arange(300) % 3
    X = rng.normal(size=(300, 5)) + np.eye(3, 5)[y] * 1.5
    return X, y


@pytest.fixture(scope="session")
def news20():
    from sklearn.datasets import load_svmlight_file

    for folder in SHARED:
        path = folder / "libsvm" / "news20-bydate.bz2"
        if path.exists():
            return load_svmlight_file(str(path), dtype=np.float32)
    pytest.skip("no news20-bydate.bz2")
