"""Memory, threads, forks and signals."""

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import joblib
import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV

from burn_svm import SVMClassifier, _data

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc, or forks")


def script(text, **options):
    """Run Python code in a process of its own; what it prints."""
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(text)], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


ROWS = """
    import numpy as np, resource, sys
    from burn_svm import SVMClassifier
    rng = np.random.default_rng(0)
    n, d = 400_000, 100
    X = np.empty((n, d), dtype)
    y = np.arange(n, dtype=np.int64) % 3
    for start in range(0, n, 10_000):
        block = rng.random((10_000, d)) * 50
        block[:, 0] += y[start : start + 10_000] * 50
        X[start : start + 10_000] = block
    def peak():
        return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) * 1024
    SVMClassifier(n_jobs=2).fit(X[:100], y[:100])
    def now():
        return int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1]) * 1024
    open("/proc/self/clear_refs", "w").write("5")
    before = now()
    SVMClassifier(C=1e-7, n_jobs=2, tol=0.2, max_iter=3).fit(X, y)
    print((peak() - before - (X.nbytes / 2 if X.itemsize == 8 else 0)) / n)
"""


@LINUX
@pytest.mark.parametrize("dtype", ["np.uint8", "np.float32", "np.float64"])
def test_rows_are_not_copied(dtype):
    """Beyond the rows, and half of those of float64, there is what belongs to a row and not to its cells: labels, dual variables, order."""
    bytes_of_a_row = float(script(f"dtype = 'placeholder'\n{textwrap.dedent(ROWS)}".replace("dtype = 'placeholder'", f"import numpy as np; dtype = {dtype}")))
    assert bytes_of_a_row < 200


@LINUX
def test_pages_of_sparse_rows_are_not_copied():
    import scipy.sparse as sp

    X = sp.random_array((1000, 500), density=0.05, format="csr", dtype=np.float32, random_state=0)
    X.indices = X.indices.astype(np.int32)
    X.sum_duplicates()
    (_, _, columns, values), _ = _data.native_rows(X)
    assert np.shares_memory(columns, X.indices) and np.shares_memory(values, X.data)
    for dtype in (np.uint8, np.float32, np.float64):
        dense = np.zeros((2000, 1000), dtype)
        assert _data.native_rows(dense)[0] is dense or np.shares_memory(_data.native_rows(dense)[0], dense)


def test_read_only_maps(tmp_path, digits):
    X, y = digits
    np.save(tmp_path / "rows.npy", X.astype(np.float32))
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    assert not mapped.flags.writeable
    model = SVMClassifier(C=0.01).fit(mapped, y)
    np.testing.assert_array_equal(model.coef_, SVMClassifier(C=0.01).fit(X.astype(np.float32), y).coef_)


def fitted(C):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(3000, 20)).astype(np.float32), np.arange(3000) % 4
    X[:, :4] += np.eye(4, dtype=np.float32)[y]
    return SVMClassifier(C=C, n_jobs=2).fit(X, y).objective_


@LINUX
def test_after_a_fork():
    """A pool of threads that was made before a fork would wait for ever in the child."""
    expected = fitted(0.01)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        found = pool.map_async(fitted, [0.01] * 4).get(timeout=60)
    assert found == pytest.approx([expected] * 4, rel=1e-3)
    child = os.fork()
    if child == 0:
        os._exit(0 if abs(fitted(0.01) / expected - 1) < 1e-3 else 1)
    for _ in range(600):
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            break
        time.sleep(0.1)
    else:
        os.kill(child, signal.SIGKILL)
        pytest.fail("the child hangs")
    assert os.waitstatus_to_exitcode(status) == 0


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_joblib(backend):
    expected = fitted(0.01)
    with joblib.parallel_config(backend=backend, n_jobs=2):
        found = joblib.Parallel()(joblib.delayed(fitted)(0.01) for _ in range(4))
    assert found == pytest.approx([expected] * 4, rel=1e-3)


def test_grid_search(digits):
    X, y = digits
    search = GridSearchCV(SVMClassifier(), {"C": [1e-3, 1e-2]}, n_jobs=2, cv=3).fit(X, y)
    assert search.best_score_ > 0.9


def test_threads():
    assert _data.threads(3) == 3 and _data.threads(None) == _data.cores() and _data.threads(-1) == _data.cores()
    inner = joblib.Parallel(n_jobs=2, backend="threading")(joblib.delayed(_data.threads)(None) for _ in range(2))
    assert inner == [1, 1]


def test_other_threads_run_meanwhile():
    """Fits side by side, in threads of Python."""
    results = []
    workers = [threading.Thread(target=lambda: results.append(fitted(0.01))) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert len(results) == 3


@LINUX
def test_ctrl_c_leaves_a_model():
    """Ctrl-C ends a fit soon, and the weights so far stay."""
    out = script(
        """
        import os, signal, threading, time
        import numpy as np
        from burn_svm import SVMClassifier
        rng = np.random.default_rng(0)
        X = rng.random((60_000, 200), dtype=np.float32)
        y = rng.integers(0, 10, 60_000)
        model = SVMClassifier(C=100.0, tol=1e-9, solver_params={"finish": "never"})
        sent = []
        def send():
            time.sleep(2)
            sent.append(time.perf_counter())
            os.kill(os.getpid(), signal.SIGINT)
        threading.Thread(target=send).start()
        try:
            model.fit(X, y)
        except KeyboardInterrupt:
            print(time.perf_counter() - sent[0], model.stop_reason_, len(model.predict(X[:5])))
        """
    )
    seconds, reason, count = out.split()
    assert reason == "interrupted" and count == "5"
    # Loose: the machine may have other work. docs/python.md has the time that was measured.
    assert float(seconds) < 2.0


def test_progress_is_printed(capsys):
    rng = np.random.default_rng(0)
    X, y = rng.random((30_000, 100), dtype=np.float32), rng.integers(0, 10, 30_000)
    SVMClassifier(C=1.0, max_seconds=2, tol=1e-9, solver_params={"finish": "never"}, verbose=1).fit(X, y)
    assert "gap" in capsys.readouterr().out


def test_callbacks_of_scikit_learn():
    """They are told of the progress, and end a fit."""
    pytest.importorskip("sklearn.callback")

    class Ender:
        ended = 0

        def setup(self, estimator, context):
            pass

        def teardown(self, estimator, context):
            self.torn_down = True

        def on_fit_task_begin(self, estimator, context, **more):
            pass

        def on_fit_task_end(self, estimator, context, **more):
            self.ended += 1
            return self.ended == 3

    rng = np.random.default_rng(0)
    X, y = rng.random((30_000, 100), dtype=np.float32), rng.integers(0, 10, 30_000)
    model = SVMClassifier(C=1.0, max_seconds=60, tol=1e-9, solver_params={"finish": "never"})
    callback = Ender()
    model.set_callbacks(callback).fit(X, y)
    assert model.stop_reason_ == "interrupted" and callback.ended >= 4 and callback.torn_down
