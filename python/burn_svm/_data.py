"""Rows, labels and weights as the native module takes them, with no copy where none is needed."""

import multiprocessing
import os
import sys
import threading

import numpy as np
import scipy.sparse as sp
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    assert_all_finite,
    check_array,
    check_consistent_length,
    column_or_1d,
    validate_data,
)

from . import _native

#: Cells up to which rows in double precision stay so; of larger ones only those that single precision would blur.
SMALL = 1 << 20
#: Threads of a fit, at most.
MOST_THREADS = 1024
#: Cells that are converted at a time.
BLOCK = 1 << 20


def of_dlpack(x):
    """What only offers DLPack, as an array that borrows it; anything else as it is."""
    return np.from_dlpack(x) if hasattr(x, "__dlpack__") and not hasattr(x, "__array__") else x


def is_frame(X):
    """Whether X is a frame of columns that narwhals knows: pandas, polars, pyarrow and others."""
    if isinstance(X, np.ndarray) or sp.issparse(X):
        return False
    import narwhals.stable.v2 as nw

    return nw.dependencies.is_into_dataframe(X)


def frame_to_array(X):
    """The numeric columns of a frame as an array in C order: bytes, or floats in single precision unless that would blur one.

    None where a column is not numeric. No column is held in another type than its own but block by block.
    """
    import narwhals.stable.v2 as nw

    frame = nw.from_native(X, eager_only=True)
    columns = [frame[:, j].to_numpy() for j in range(frame.shape[1])]
    if not columns or any(column.dtype.kind not in "buif" for column in columns):
        return None
    return blocks(len(frame), columns)


def other_columns(X):
    """The columns of a frame that are not numbers, with their types."""
    import narwhals.stable.v2 as nw

    frame = nw.from_native(X, eager_only=True)
    return [f"{name!r} ({dtype})" for name, dtype in frame.schema.items() if not (dtype.is_numeric() or dtype == nw.Boolean)]


def blocks(n, columns):
    """Columns as rows in C order, converted a block of rows at a time."""
    d = len(columns)

    def fill(out, rows):
        for j, column in enumerate(columns):
            out[:, j] = column[rows]
        return out

    if all(column.dtype in (np.uint8, np.bool_) for column in columns):
        dtype = np.uint8
    else:
        dtype = precision(n, d, lambda rows: fill(np.empty((len(rows), d)), rows), columns[0].dtype, columns)
    out = np.empty((n, d), dtype)
    step = max(1, BLOCK // d)
    for start in range(0, n, step):
        rows = slice(start, min(n, start + step))
        fill(out[rows], rows)
    return out


def precision(n, d, sample, dtype, columns=()):
    """The type of floats in which rows are kept: double where they are few, or where single precision would blur a column."""
    dtypes = {column.dtype for column in columns} or {dtype}
    if all(t in (np.float16, np.float32, np.uint8, np.int8, np.uint16, np.int16, np.bool_) for t in dtypes):
        return np.float32
    if n * d <= SMALL:
        return np.float64
    rows = np.linspace(0, n - 1, min(n, 1024)).astype(np.intp)
    return np.float64 if _native.is_blurred(np.ascontiguousarray(sample(rows), dtype=np.float64)) else np.float32


def checked_rows(estimator, X, y="no_validation", *, reset):
    """X, and y where it is given, checked in scikit-learn's manner: a NumPy array or a CSR matrix."""
    X, y = of_dlpack(X), of_dlpack(y)
    if is_frame(X):
        array = frame_to_array(X)
        if array is not None:
            if isinstance(y, str):
                validate_data(estimator, X, reset=reset, skip_check_array=True)
                return check_array(array, estimator=estimator, input_name="X")
            validate_data(estimator, X, y, reset=reset, skip_check_array=True)
            array = check_array(array, estimator=estimator, input_name="X")
            y = column_or_1d(y, warn=True)
            assert_all_finite(y, estimator_name=type(estimator).__name__, input_name="y")
            check_consistent_length(array, y)
            return array, y
    checks = {"accept_sparse": "csr", "dtype": "numeric", "accept_large_sparse": True, "reset": reset}
    try:
        found = validate_data(estimator, X, **checks) if isinstance(y, str) else validate_data(estimator, X, y, **checks)
    except ValueError as error:
        wordy = other_columns(X) if is_frame(X) else []
        if not wordy:
            raise
        raise ValueError(f"X: found columns that are not numbers: {', '.join(wordy)}; words and categories go through an encoder, as OneHotEncoder ({error})") from error
    kind = (found if isinstance(y, str) else found[0]).dtype
    if kind.kind not in "buif":
        raise ValueError(
            f"X: found values of type {kind}, expected booleans, integers or floats; words and categories go through an encoder, as OneHotEncoder"
        )
    return found


def native_rows(X):
    """A checked array or CSR matrix as the native module takes it, and whether its double precision is to be kept."""
    n, d = X.shape
    if sp.issparse(X):
        if X.dtype not in (np.float32, np.float16) and n * d <= SMALL:
            return np.ascontiguousarray(X.toarray(), dtype=np.float64), True
        if not X.has_canonical_format:
            X = X.copy()
            X.sum_duplicates()
        indices = np.require(X.indices, requirements="CA")
        indices = indices.view(np.uint32) if indices.dtype == np.int32 else indices.astype(np.uint32)
        return (
            d,
            X.indptr.astype(np.uint64),
            indices,
            np.require(X.data, np.float32, "CA"),
        ), False
    if X.dtype == np.bool_:
        X = X.view(np.uint8)
    if X.dtype in (np.uint8, np.float32):
        # Arrays out of messages, as those of Dask, may begin at any byte.
        return np.require(X, requirements="CA"), False
    if X.dtype == np.float64 and X.flags.c_contiguous and X.flags.aligned:
        return X, n * d <= SMALL
    dtype = precision(n, d, lambda rows: X[rows], X.dtype)
    out = np.empty((n, d), dtype)
    step = max(1, BLOCK // d)
    for start in range(0, n, step):
        out[start : start + step] = X[start : start + step]
    return out, dtype == np.float64 and n * d <= SMALL


def classes_of(y):
    """The classes of labels in their order, and the index of each label's."""
    check_classification_targets(y)
    classes, indices = np.unique(y, return_inverse=True)
    return classes, indices.astype(np.uint32)


def class_names(classes):
    """Names of classes for the model file, all different."""
    names = [str(label) for label in classes.tolist()]
    if len(set(names)) < len(names):
        raise ValueError(f"classes: found two labels that are written alike among {names}, expected different ones")
    return names


def index_of(classes, y):
    """The index of each label's class; an error for a label that is none of the classes."""
    y = column_or_1d(of_dlpack(y))
    places = np.searchsorted(classes, y).clip(0, len(classes) - 1)
    wrong = np.flatnonzero(classes[places] != y)
    if len(wrong):
        raise ValueError(f"label {y[wrong[0]]!r} of row {wrong[0]} is not a class of the model; the classes are {classes}")
    return places.astype(np.uint32)


def row_weights(sample_weight, X, indices, n_classes):
    """Weights of rows in single precision; None where they are all 1. Rows of two classes or more must weigh something."""
    if sample_weight is None:
        counts = np.bincount(indices, minlength=n_classes)
        weights = None
    else:
        weights = _check_sample_weight(of_dlpack(sample_weight), X, dtype=np.float64, ensure_non_negative=True)
        counts = np.bincount(indices, weights=weights, minlength=n_classes)
        weights = weights.astype(np.float32)
    if (counts > 0).sum() < 2:
        raise ValueError(
            "Invalid input: expected rows of two classes or more, found one class only"
            + ("" if sample_weight is None else " with a weight above 0")
        )
    return weights


def threads(n_jobs):
    """The number of threads: all cores, or one within the workers of joblib and Dask, unless n_jobs says it."""
    if n_jobs is not None:
        if not isinstance(n_jobs, (int, np.integer)) or not (n_jobs < 0 or 0 < n_jobs <= MOST_THREADS):
            raise ValueError(
                f"n_jobs: found {n_jobs!r}, expected a whole number from 1 to {MOST_THREADS}, or below 0 to count from all cores"
            )
        n_jobs = int(n_jobs)
        return n_jobs if n_jobs > 0 else max(1, cores() + 1 + n_jobs)
    if not nested():
        return cores()
    # loky tells its processes their share so.
    share = os.environ.get("OMP_NUM_THREADS", "") if multiprocessing.parent_process() is not None else ""
    return int(share) if share.isdigit() and int(share) > 0 else 1


def cores():
    """Cores that this process may use."""
    import joblib

    return joblib.cpu_count()


def nested():
    """Whether this is work of a worker that has neighbours: joblib's or Dask's."""
    from joblib.parallel import get_active_backend

    if get_active_backend()[0].nesting_level:
        return True
    if "distributed" in sys.modules and threading.current_thread() is not threading.main_thread():
        from distributed import get_worker

        try:
            get_worker()
            return True
        except ValueError:
            return False
    return False


def seed(random_state):
    """A seed of the solver's generator."""
    if random_state is None:
        return 0
    if isinstance(random_state, (int, np.integer)) and random_state >= 0:
        return int(random_state)
    return int(check_random_state(random_state).randint(1 << 31))


def product(X, coef, intercept):
    """Scores ``X @ coef.T + intercept`` in double precision, with no copy of X as a whole."""
    if sp.issparse(coef):
        coef = coef.toarray()
    if sp.issparse(X) or X.dtype == np.float64:
        return np.asarray(X @ coef.T) + intercept
    out = np.empty((X.shape[0], coef.shape[0]))
    step = max(1, BLOCK // X.shape[1])
    for start in range(0, X.shape[0], step):
        np.matmul(X[start : start + step].astype(np.float64), coef.T, out=out[start : start + step])
    return out + intercept
