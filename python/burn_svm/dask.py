"""Training on a Dask cluster: ``pip install "burn-svm[dask]"``.

>>> import dask.array as da
>>> from distributed import Client
>>> from burn_svm.dask import SVMClassifier
>>> client = Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address=":0")
>>> X = da.random.RandomState(0).normal(size=(4000, 10), chunks=(1000, 10))
>>> y = (X.sum(axis=1) > 0).astype(int)
>>> model = SVMClassifier(C=0.1).fit(X, y)
>>> model.gap_ <= 1e-3                  # proved over all partitions
True
>>> client.close()
"""

from concurrent.futures import CancelledError

import dask
import numpy as np
from dask.utils import is_arraylike
from distributed import KilledWorker, default_client, wait
from distributed.comm import CommClosedError

from . import _parts
from ._parts import Hub, Part, PartsClassifier, PartsLost

#: Seconds between two looks at the workers while a round is awaited.
POLL = 0.5
#: Seconds without any worker after which a run gives up.
ALONE = 60.0


def _pieces(name, values):
    """The partitions of a collection, as delayed objects or futures."""
    if isinstance(values, (list, tuple)):
        return list(values)
    if is_arraylike(values) and hasattr(values, "rechunk"):
        if values.ndim == 2 and values.numblocks[1] > 1:
            values = values.rechunk({1: -1})
        return list(values.to_delayed().ravel())
    if hasattr(values, "to_delayed"):
        return list(values.to_delayed())
    raise ValueError(
        f"{name}: found {type(values).__name__}, expected a collection of Dask or a list of delayed partitions; burn_svm.SVMClassifier takes arrays"
    )


def _partitions(X, y, sample_weight):
    """Rows, labels and weights of each partition."""
    known = hasattr(X, "chunks") and not np.isnan(X.chunks[0]).any()
    columns = {"y": y, "sample_weight": sample_weight}
    pieces = [_pieces("X", X)]
    for name, values in columns.items():
        if values is None:
            pieces.append([None] * len(pieces[0]))
            continue
        if known and hasattr(values, "chunks") and values.chunks[0] != X.chunks[0] and values.shape[0] == X.shape[0]:
            values = values.rechunk({0: X.chunks[0]})
        pieces.append(_pieces(name, values))
        if len(pieces[-1]) != len(pieces[0]):
            raise ValueError(f"{name}: found {len(pieces[-1])} partitions, expected {len(pieces[0])} as X has")
    if not pieces[0]:
        raise ValueError("X: found no partitions, expected one or more")
    return list(zip(*pieces, strict=True))


def _same(value):
    return value


class DaskTransport:
    """Parts on the workers of a Dask cluster.

    Each partition becomes a future of a :class:`Part`, and stays with the worker that has it; the coordinator stays with one worker. Messages go
    from worker to worker, and only summaries come to the client.
    """

    def __init__(self, client, partitions):
        self.client = client
        parts = [dask.delayed(Part, pure=False)(place, *pieces) for place, pieces in enumerate(partitions)]
        self.futures, self.places, self.hub = client.compute(parts), [], None
        #: A worker with copies of the dual variables, and their future.
        self.copies = None
        self.replace()

    def parts(self):
        """Number of parts."""
        return len(self.futures)

    def _workers(self):
        """Addresses of the workers that are there."""
        if self.client.status != "running":
            raise CommClosedError("the client has no connection")
        return set(self.client.nthreads())

    def _explained(self, error):
        """An error in a sentence."""
        address = self.client.scheduler.address if self.client.scheduler is not None else ""
        if isinstance(error, KilledWorker):
            return RuntimeError(f"workers died again and again while they worked on a partition, perhaps for want of memory: {error}")
        if self.client.status != "running" or "scheduler-connection-lost" in str(error) or not isinstance(error, CancelledError):
            return RuntimeError(f"the scheduler of the cluster {address} does not answer any more, without which a run cannot go on: {error}")
        return RuntimeError(
            f"a partition was lost with its worker, and nothing says how it is made again (it was scattered, or its future was cancelled): {error}"
        )

    def _value(self, future):
        """The value of a future, as long as all places are there."""
        try:
            while True:
                wait_over = False
                try:
                    wait(future, timeout=POLL)
                except TimeoutError:
                    wait_over = True
                if not wait_over:
                    return future.result()
                if not {*self.places, self.hub[0]} <= self._workers():
                    raise PartsLost
        except (CancelledError, KilledWorker, OSError) as error:
            raise self._explained(error) from error

    def map(self, work, *shared):
        """``work(part, *shared)`` of every part, beside it."""
        return [
            self.client.submit(work, part, *shared, workers=[place], pure=False) for part, place in zip(self.futures, self.places, strict=True)
        ]

    def reduce(self, merge, finish, answers, *shared, merge_with=()):
        """``finish(hub, merged, *shared)`` beside the coordinator; a future of it, and its summary."""

        def merge_later(group, *others):
            return self.client.submit(merge, group, *others, pure=False)

        place, hub = self.hub
        joined = _parts.merged(merge_later, answers, merge_with)
        reply = self.client.submit(finish, hub, joined, *shared, workers=[place], pure=False)
        summary = self._value(self.client.submit(getattr, reply, "summary", workers=[place], pure=False))
        if summary.get("copied"):
            self._keep_copies()
        return reply, summary

    def kept(self, value):
        """A value of one worker as a task that any worker can repeat: the scheduler drops what several workers have, but for one."""
        return self.client.submit(_same, self._value(value), pure=False)

    def _keep_copies(self):
        """Has copies of the dual variables on a worker other than the coordinator's, where there is one."""
        place, hub = self.hub
        others = sorted({*self.places} - {place}) or sorted(self._workers() - {place})
        if others:
            copies = self.client.submit(getattr, hub, "copies", workers=[place], pure=False)
            self.copies = (others[-1], self.client.submit(dict, copies, workers=[others[-1]], pure=False))

    def _new_hub(self, place):
        """A coordinator on a worker, with the copies that are left."""
        copies, self.copies = self.copies, None
        if copies is not None:
            hub = self.client.submit(Hub, copies[1], workers=[place], pure=False)
            while {copies[0], place} <= self._workers():
                try:
                    wait(hub, timeout=POLL)
                except TimeoutError:
                    continue
                if hub.status == "finished":
                    return hub
                break
        return self.client.submit(Hub, workers=[place], pure=False)

    def replace(self):
        """Finds the places of the parts, once they have been made again where that is needed; whether the coordinator has a new one."""
        try:
            waited = 0.0
            while True:
                try:
                    wait(self.futures, timeout=POLL)
                    break
                except TimeoutError:
                    waited = 0.0 if self._workers() else waited + POLL
                    if waited > ALONE:
                        raise RuntimeError(f"the cluster has no worker any more, waited {ALONE:.0f} s for one") from None
            for future in self.futures:
                if future.status in ("error", "cancelled", "lost"):
                    future.result()
            holders = self.client.who_has(self.futures)
            found = [sorted(holders[future.key]) for future in self.futures]
            if not all(found):
                return self.replace()
            self.places = [old if old in at else at[0] for old, at in zip(self.places or [None] * len(found), found, strict=True)]
            if self.hub is not None and self.hub[0] in self._workers():
                return False
            place = max(self.places, key=self.places.count)
            self.hub = (place, self._new_hub(place))
            return True
        except (CancelledError, KilledWorker, OSError) as error:
            raise self._explained(error) from error


def _frame_like(X):
    return hasattr(X, "map_partitions") and hasattr(X, "columns")


def _predicted(X, model, method):
    """Scores or labels of the rows of a partition; of a frame with its index."""
    found = getattr(model, method)(X) if X.shape[0] else np.zeros((0,) + _width(model, method), _dtype(model, method))
    if hasattr(X, "iloc"):
        import pandas as pd

        return pd.Series(found, index=X.index) if found.ndim == 1 else pd.DataFrame(found, index=X.index, columns=[str(name) for name in model.classes_])
    return found


def _width(model, method):
    return () if method == "predict" or len(model.classes_) == 2 else (len(model.classes_),)


def _dtype(model, method):
    return model.classes_.dtype if method == "predict" else np.float64


def _hits(model, X, y, weight):
    """Weights of the rows of a partition that are predicted right, and of all."""
    y = np.asarray(y)
    weights = np.ones(len(y)) if weight is None else np.asarray(weight, dtype=np.float64)
    right = model.predict(X) == y if len(y) else np.zeros(0, bool)
    return float(weights[right].sum()), float(weights.sum())


class SVMClassifier(PartsClassifier):
    """Multiclass linear support vector machine on the workers of a Dask cluster, solved to a proved optimum.

    The objective is that of :class:`burn_svm.SVMClassifier` over the rows of all partitions, and so is the optimum, whatever the partitions are.
    The same partitions give the same weights, wherever they lie. Rows stay with their workers but for hot rows, those that tie the partitions
    together, which go to the worker of the coordinator; weights stay on the cluster until the end. When a worker dies, its partitions are made
    again from their graph, and go on from the last copy of their dual variables.

    Parameters
    ----------
    loss, power, C, margin, smoothing, k, costs, bias_scale, class_weight, tol, center, scale, random_state
        As of :class:`burn_svm.SVMClassifier`; ``class_weight="balanced"`` by the weights of all rows.
    bias : {"regularised", "free", "none"}, default="regularised"
        As of :class:`burn_svm.SVMClassifier`. A free one needs few features: the interior point method solves a system of features times classes,
        5,000 at most.
    max_iter : int, optional
        Rounds, at most; 1000 by default.
    hot_rows : int, optional
        Hot rows, at most; as many as 256 MiB hold by default. 0 keeps every row with its worker, at the price of many more rounds.
    snapshot_rounds : int, optional
        Rounds between two copies of all dual variables, which the coordinator and another worker keep: at most 4 bytes a row and class, fewer where
        they are 0. 5 by default, or 0, which keeps none, where they would take more than 256 MiB.
    callback : callable, optional
        Called with a dictionary after each round: round, objective, gap, hot_rows, bytes, seconds, lost (partitions that were). The run ends early where it
        returns true.
    verbose : int, default=0
        1 prints a line each round.

    Attributes
    ----------
    coef_, intercept_, classes_, n_features_in_, feature_names_in_, objective_, dual_objective_, gap_, stop_reason_, fit_seconds_
        As of :class:`burn_svm.SVMClassifier`.
    n_iter_, rounds_ : int
        Rounds.
    bytes_ : int
        Bytes of the messages.
    partition_sizes_ : list of int
        Rows of each partition.
    client : distributed.Client
        The client that is used, the latest by default; set it before ``fit``.
    """

    client = None

    def fit(self, X, y, sample_weight=None, classes=None):
        """Fit the model.

        Parameters
        ----------
        X : dask.array.Array, dask.dataframe.DataFrame, or list of delayed arrays, CSR matrices or frames
            The partitions are listed, not joined; about one to four a core are best. Persist them if their graph is expensive.
        y, sample_weight : dask.array.Array, dask.dataframe.Series or list of delayed arrays
            In the same partitions.
        classes : array-like, optional
            All classes, where not every one need occur.

        Returns
        -------
        self : SVMClassifier
        """
        client = self.client
        if client is None:
            try:
                client = default_client()
            except ValueError:
                raise ValueError("client: found none, expected one: distributed.Client() starts a cluster on this machine") from None
        return self._fit(DaskTransport(client, _partitions(X, y, sample_weight)), classes)

    def __getstate__(self):
        return {name: value for name, value in super().__getstate__().items() if name != "client"}

    def _lazily(self, X, method):
        """Of a collection one with the result for each partition."""
        local = self.to_local()
        if _frame_like(X):
            import pandas as pd

            empty = np.zeros((0,) + _width(local, method), _dtype(local, method))
            meta = pd.Series(empty) if empty.ndim == 1 else pd.DataFrame(empty, columns=[str(name) for name in local.classes_])
            return X.map_partitions(_predicted, local, method, meta=meta)
        if is_arraylike(X) and hasattr(X, "rechunk"):
            X = X.rechunk({1: -1}) if X.numblocks[1] > 1 else X
            width = _width(local, method)
            shape = {"chunks": (X.chunks[0], width)} if width else {"drop_axis": 1}
            meta = np.zeros((0,) + width, _dtype(local, method))
            return X.map_blocks(_predicted, local, method, dtype=meta.dtype, meta=meta, **shape)
        if isinstance(X, (list, tuple)) and any(dask.is_dask_collection(piece) for piece in X):
            return [dask.delayed(_predicted)(piece, local, method) for piece in X]
        return getattr(local, method)(X)

    def decision_function(self, X):
        """Scores of rows, lazily where X is a collection of Dask.

        Parameters
        ----------
        X : dask.array.Array, dask.dataframe.DataFrame, list of delayed partitions, or rows as :class:`burn_svm.SVMClassifier` takes them

        Returns
        -------
        scores : as X, of shape (n_samples, n_classes), or (n_samples,) between two classes
        """
        return self._lazily(X, "decision_function")

    def predict(self, X):
        """The class of each row, lazily where X is a collection of Dask.

        Parameters
        ----------
        X : as of :meth:`decision_function`

        Returns
        -------
        labels : as X, of shape (n_samples,)
        """
        return self._lazily(X, "predict")

    def score(self, X, y, sample_weight=None):
        """The share of rows that are predicted right, computed where they lie.

        Parameters
        ----------
        X, y, sample_weight : as of :meth:`fit`, or rows in memory

        Returns
        -------
        accuracy : float
        """
        if not (dask.is_dask_collection(X) or isinstance(X, (list, tuple))):
            return self.to_local().score(X, y, sample_weight)
        local = dask.delayed(self.to_local())
        hits = dask.compute(*(dask.delayed(_hits)(local, *pieces) for pieces in _partitions(X, y, sample_weight)))
        return sum(right for right, _ in hits) / sum(total for _, total in hits)
