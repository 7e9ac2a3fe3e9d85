"""Training from a folder of blocks on the disk, with a bound of the memory."""

import os
import tempfile

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import _num_samples, column_or_1d

from . import _data, _native, _parts
from ._base import number, warn_if_short, whole
from ._progress import printed

#: Bytes of memory, unless ``memory`` says their number.
MEMORY = 1 << 30
#: Passes over the rows, at most, unless ``max_iter`` says their number.
PASSES = 1000
#: The least memory, and the share of it that two blocks and their variables may take, one of which is a block.
SMALLEST = 1 << 20
SHARE = 4


def bytes_of(memory):
    """``memory`` as a number of bytes."""
    memory = MEMORY if memory is None else whole("memory", memory)
    if memory < SMALLEST:
        raise ValueError(f"memory: found {memory} bytes, expected {SMALLEST} or more")
    return memory


def fit_folder(model, folder, memory, labels=None):
    """Fit an estimator to the rows to train on of a folder of blocks; ``labels`` are those of its classes, their names by default."""
    folder = os.fspath(folder)
    content = _native.folder_content(folder)
    if content["encoded"]:
        raise ValueError(f"{folder}: found rows of an encoded table, expected numbers; `burn-svm train` takes it")
    if content["largest_block"] > memory // SHARE:
        raise ValueError(f"memory: found {memory} bytes, expected {SHARE * content['largest_block']} or more for the blocks of {folder}")
    names = content["classes"]
    labels = np.array(names) if labels is None else labels
    if len(labels) != len(names):
        raise ValueError(f"classes: found {len(labels)}, expected a label for each of {len(names)} classes of {folder}")
    by_class = None
    if model.class_weight is not None:
        totals = np.array(_native.folder_totals(folder)) if isinstance(model.class_weight, str) else np.ones(len(labels))
        by_class = _parts._class_weights(model.class_weight, labels, totals)
    passes = PASSES if model.max_iter is None else max(2, whole("max_iter", model.max_iter))
    with tempfile.TemporaryDirectory(prefix="burn-svm-") as variables:
        found, model.rounds_, exception = _native.fit_folder(
            folder, variables, model._options(by_class, content["double"]), number("tol", model.tol), passes, memory, printed if model.verbose else None
        )
    model.classes_, model.n_features_in_ = labels, content["n_features"]
    if content["feature_names"] is not None:
        model.feature_names_in_ = np.array(content["feature_names"], dtype=object)
    elif hasattr(model, "feature_names_in_"):
        del model.feature_names_in_
    model._keep(found)
    if exception is not None:
        raise exception
    warn_if_short(found, model.tol)
    return model


def fit_packed(model, blocks, memory, classes):
    """Fit an estimator to blocks of rows that are packed into a folder first, which is iterated once."""
    with tempfile.TemporaryDirectory(prefix="burn-svm-") as folder:
        labels = _packed(os.path.join(folder, "blocks"), blocks, memory, model.random_state, classes)
        return fit_folder(model, os.path.join(folder, "blocks"), memory, labels)


def _packed(folder, blocks, memory, seed, classes):
    """Write rows to a folder of blocks; their labels in order."""
    numbers, writer, kind, width, weighted = {}, None, None, None, None
    for place, (X, y, *weight) in enumerate(blocks):
        n = _num_samples(X)
        if n == 0:
            continue
        with _parts._named(place):
            y, weight = column_or_1d(np.asarray(y)), weight[0] if weight else None
            if len(y) != n or (weight is not None and np.shape(weight) != (n,)):
                raise ValueError(f"found {len(y)} labels and {'no' if weight is None else len(weight)} weights for {n} rows, expected one a row")
            own, n_features, _, blurred = _parts._kind(X)
            if kind is None:
                kind, width, weighted = "f32" if own == "f64" and not blurred else own, n_features, weight is not None
            if (own == "csr") != (kind == "csr") or (kind == "u8") != (own == "u8") or n_features != width or weighted != (weight is not None):
                raise ValueError(
                    f"found rows of {n_features} features as {own} {'with' if weight is not None else 'without'} weights, "
                    f"expected {width} as {kind} {'with' if weighted else 'without'}, as those before"
                )
            unique, inverse = np.unique(y, return_inverse=True)
            for label in unique.tolist():
                numbers.setdefault(label, len(numbers))
            codes = np.array([numbers[label] for label in unique.tolist()], np.uint32)[inverse]
            if kind == "csr":
                rows, _ = _data.native_rows(sp.csr_matrix(X).astype(np.float32, copy=False))
            else:
                rows = _parts._dense(X, {"u8": np.uint8, "f32": np.float32, "f64": np.float64}[kind])
            if writer is None:
                seed = 0 if seed is None else whole("random_state", seed)
                writer = _native.FolderWriter(folder, rows, weighted, seed, memory)
            writer.put(rows, codes, width, None if weight is None else _parts._weights(weight).astype(np.float32))
    if writer is None:
        raise ValueError("X: found no rows, expected one or more")
    labels = np.unique(np.array(list(numbers)))
    known = labels if classes is None else np.unique(classes)
    unknown = np.setdiff1d(labels, known)
    if len(unknown):
        raise ValueError(f"classes: found the label {unknown[0]!r} in y, expected one of {known}")
    if len(labels) < 2:
        raise ValueError("Invalid input: expected rows of two classes or more, found one class only")
    writer.finish(_data.class_names(known), np.searchsorted(known, np.array(list(numbers))).astype(np.uint32).tolist())
    return known
