"""scikit-learn's own tests of LinearSVC, with ours in its place."""

import os
import pathlib
import re
import subprocess
import sys

import pytest
import sklearn

#: Tests that fail, and why. "l1" is a penalty that this solver refuses.
REASONS = {
    "test_linearsvc_parameters[42-False-l1-squared_hinge]": "l1",
    "test_linearsvc[42]": "l1",
    "test_dense_liblinear_intercept_handling": "l1",
    "test_sparse_liblinear_intercept_handling": "l1",
    "test_linearsvm_liblinear_sample_weight[42-LinearSVC-params0]": "l1",
    "test_linear_svm_convergence_warnings[42]": "expects a warning after two passes, with which this solver is done",
}


def test_in_its_place(tmp_path):
    if not sklearn.__version__.startswith("1.9"):
        pytest.skip("the list is that of scikit-learn 1.9")
    here = pathlib.Path(__file__).parent
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(here), os.environ.get("PYTHONPATH", "")])}
    words = "-p in_place_of_linear_svc -p no:cacheprovider -q -rf --tb=no --pyargs sklearn.svm.tests.test_svm sklearn.svm.tests.test_sparse"
    command = [sys.executable, "-m", "pytest", *words.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    failed = set(re.findall(r"^FAILED \S*::(\S+)", done.stdout, re.MULTILINE))
    assert failed == set(REASONS), done.stdout[-2000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 250
