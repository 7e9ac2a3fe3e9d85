"""Training on a Dask cluster of processes: the proved optimum, whatever the partitions, and whoever dies on the way."""

import os
import pickle
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import scipy.sparse as sp

pytest.importorskip("distributed", reason='no Dask: pip install "burn-svm[dask]"')

import dask
import dask.array as da
from distributed import Client, LocalCluster
from test_parts import blobs, check, single

from burn_svm.dask import SVMClassifier

N = 2400


@pytest.fixture(scope="module")
def client():
    """Two worker processes of one thread."""
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster, Client(cluster) as client:
        yield client


@pytest.fixture
def four():
    """Four worker processes, for tests that kill some."""
    with LocalCluster(n_workers=4, threads_per_worker=1, dashboard_address=":0") as cluster, Client(cluster) as client:
        yield client


@pytest.fixture(scope="module")
def data():
    X, y, weight = blobs(N, 20, 5)
    return X, y, weight, single(X, y, weight, C=0.1)


def chunked(*arrays, rows=400):
    """Collections of the arrays in partitions of so many rows, which stand in their graph."""
    return [da.from_array(a, chunks=(rows,) + a.shape[1:]) for a in arrays]


def test_arrays_and_lazy_predictions(client, data):
    X, y, weight, alone = data
    rows, labels, weights = chunked(X, y, weight)
    model = SVMClassifier(C=0.1).fit(rows, labels, weights)
    check(model, alone)
    assert model.partition_sizes_ == [400] * 6 and model.rounds_ > 1 and model.bytes_ > 0
    scores, predicted = model.decision_function(rows), model.predict(rows)
    assert scores.shape == (N, 5) and dask.is_dask_collection(scores) and dask.is_dask_collection(predicted)
    local = model.to_local()
    np.testing.assert_allclose(scores.compute(), local.decision_function(X))
    assert (predicted.compute() == local.predict(X)).all()
    assert model.score(rows, labels) == pytest.approx(local.score(X, y))
    assert model.score(rows, labels, weights) == pytest.approx(local.score(X, y, weight))
    again = pickle.loads(pickle.dumps(model))
    assert (again.predict(X) == local.predict(X)).all()
    assert local.certify(X, y, weight).gap <= 1e-3


def test_sorted_rows_columns_in_chunks_and_other_chunks_of_labels(client, data):
    X, y, _, _ = data
    order = np.argsort(y)
    rows = da.from_array(X[order], chunks=(600, 7))
    model = SVMClassifier(C=0.1).fit(rows, da.from_array(y[order], chunks=500))
    check(model, single(X, y, C=0.1))
    assert model.predict(rows).compute().shape == (N,)


def test_the_same_partitions_give_the_same_weights(client, data):
    X, y, weight, _ = data
    found = [SVMClassifier(C=0.1).fit(*chunked(X, y, weight, rows=200)).coef_ for _ in range(2)]
    assert (found[0] == found[1]).all()


def test_frames(client, data):
    pd = pytest.importorskip("pandas")
    dd = pytest.importorskip("dask.dataframe", reason="no dask.dataframe, which needs pandas and pyarrow")
    X, y, _, _ = data
    frame = pd.DataFrame(X, columns=[f"x{j}" for j in range(X.shape[1])], index=np.arange(N) + 7).assign(label=y)
    table = dd.from_pandas(frame, npartitions=3)
    columns = table.drop(columns="label")
    model = SVMClassifier(C=0.1).fit(columns, table["label"])
    check(model, single(X, y, C=0.1))
    assert model.feature_names_in_[:2].tolist() == ["x0", "x1"]
    predicted = model.predict(columns).compute()
    assert predicted.index[0] == 7 and (predicted.to_numpy() == model.to_local().predict(frame.drop(columns="label"))).all()
    assert model.decision_function(columns).compute().shape == (N, 5)
    assert model.score(columns, table["label"]) > 0.5
    # A query leaves partitions of unknown size, and empty ones.
    some = table.map_partitions(lambda part: part[part.index >= 907])
    model = SVMClassifier(C=0.1).fit(some.drop(columns="label"), some["label"])
    assert model.gap_ <= 1e-3 and model.partition_sizes_ == [0, 700, 800]


def test_delayed_csr_empty_partitions_and_missing_classes(client, data):
    _, y, weight, _ = data
    X = sp.csr_matrix(np.where(data[0] > 0.3, data[0], 0).astype(np.float32))
    order = np.argsort(y, kind="stable")
    pieces = [order[:800], order[:0], order[800:1500], order[1500:], order[:0]]
    lists = [[dask.delayed(a[piece]) for piece in pieces] for a in (X, y, weight)]
    model = SVMClassifier(C=0.1).fit(*lists)
    check(model, single(X, y, weight, C=0.1))
    assert model.partition_sizes_ == [800, 0, 700, 900, 0]
    predicted = dask.compute(*model.predict(lists[0]))
    assert [len(part) for part in predicted] == model.partition_sizes_
    assert model.score(lists[0], lists[1]) > 0.5


def pids(client):
    return client.run(os.getpid)


class Killer:
    """A callback that kills workers in a round."""

    def __init__(self, client, count, at):
        self.client, self.count, self.at, self.lost = client, count, at, []

    def __call__(self, summary):
        self.lost += summary["lost"]
        if self.count and summary["round"] >= self.at:
            # The scheduler drops copies of what several workers have, as it does every two seconds.
            self.client.amm.run_once()
            time.sleep(0.3)
            # Among them that of the coordinator, which is the one with the most partitions, or the first.
            for pid in list(pids(self.client).values())[: self.count]:
                os.kill(pid, signal.SIGKILL)
            self.count = 0


@pytest.mark.parametrize("count", [1, 2])
def test_workers_that_are_killed(four, data, count):
    X, y, weight, alone = data
    killer = Killer(four, count, at=2)
    model = SVMClassifier(C=0.1, tol=1e-4, callback=killer).fit(*chunked(X, y, weight, rows=300))
    assert killer.count == 0 and killer.lost
    check(model, alone, tol=1e-4)


def late_loss(client, collections, snapshot_rounds):
    """The gaps of the last rounds before a worker is killed late in a run, those of the rounds after it, and the model."""
    gaps, killed = [(0, np.inf, False)], []

    def watch(summary):
        if summary["round"] != gaps[-1][0] and np.isfinite(summary["gap"]):
            gaps.append((summary["round"], summary["gap"], bool(killed)))
        if not killed and summary["gap"] < 1e-4:
            # Perhaps the coordinator's.
            killed.append(sorted(pids(client).items())[0][1])
            os.kill(killed[0], signal.SIGKILL)

    model = SVMClassifier(C=0.1, tol=1e-5, snapshot_rounds=snapshot_rounds, callback=watch).fit(*collections)
    assert model.gap_ <= 1e-5
    return [gap for _, gap, dead in gaps if not dead][-4:], [gap for _, gap, dead in gaps if dead], model


def test_a_worker_that_is_killed_late_costs_few_rounds(four):
    X, y, weight = blobs(4000, 8, 5)
    collections = chunked(X, y, weight, rows=500)
    before, with_copies, _ = late_loss(four, collections, 3)
    assert with_copies, "nobody was killed"
    # A copy is as good as the rounds since it was made.
    assert max(with_copies) < 20 * max(before), (before, with_copies)
    four.wait_for_workers(4, timeout=30)
    _, without, _ = late_loss(four, collections, 0)
    assert max(without) > 3 * max(with_copies) and len(without) > len(with_copies), (with_copies, without)


def test_lost_rows_that_nothing_makes_again(four, data):
    X, y, _, _ = data
    pieces = np.array_split(np.arange(N), 4)
    rows = [four.scatter(X[piece]) for piece in pieces]
    labels = [four.scatter(y[piece]) for piece in pieces]
    everybody = Killer(four, 4, at=2)
    with pytest.raises(RuntimeError, match="a partition was lost with its worker"):
        SVMClassifier(C=0.1, tol=1e-6, callback=everybody).fit(rows, labels)


def test_a_scheduler_that_dies(tmp_path, data):
    X, y, _, _ = data
    file = tmp_path / "scheduler.json"
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    scheduler = subprocess.Popen(command, **quiet)
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(file), "--nthreads", "1", "--no-dashboard", "--no-nanny"]
    workers = [subprocess.Popen(worker, cwd=tmp_path, **quiet) for _ in range(2)]
    try:
        while not file.exists():
            time.sleep(0.05)
        with Client(scheduler_file=str(file)) as client:
            client.wait_for_workers(2, timeout=30)

            def kill(summary):
                if summary["round"] >= 1:
                    scheduler.kill()

            model = SVMClassifier(C=0.1, tol=1e-6, callback=kill)
            model.client = client
            with pytest.raises(RuntimeError, match="the scheduler of the cluster .* does not answer"):
                model.fit(*chunked(X, y))
    finally:
        for process in (scheduler, *workers):
            process.kill()
            process.wait()


def test_mistakes_are_told_in_a_sentence(client, data):
    X, y, weight, _ = data
    rows, labels = chunked(X, y)
    with pytest.raises(ValueError, match="X: found ndarray, expected a collection of Dask"):
        SVMClassifier().fit(X, y)
    with pytest.raises(ValueError, match="y: found 3 partitions, expected 6"):
        SVMClassifier().fit(rows, [dask.delayed(y[:800])] * 3)
    broken = X.copy()
    broken[500, 3] = np.nan
    with pytest.raises(ValueError, match="partition 1: row 100, column 3: found NaN"):
        SVMClassifier().fit(da.from_array(broken, chunks=(400, 20)), labels)


def test_verbose_shows_rounds(client, data, capsys):
    SVMClassifier(C=0.1, verbose=1).fit(*chunked(*data[:3]))
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("round 1  objective ") and " sent " in lines[-1]
