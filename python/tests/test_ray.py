"""Training in actors of Ray."""

import numpy as np
import pytest

ray = pytest.importorskip("ray", reason="no Ray: pip install ray")

import os
import signal

from test_parts import blobs, check, single, split

from burn_svm.ray import RayTransport, SVMClassifier


@pytest.fixture(scope="module", autouse=True)
def cluster():
    ray.init(num_cpus=8, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def test_the_optimum_and_actors_that_are_killed():
    X, y, weight = blobs(k=5)
    alone = single(X, y, weight, C=0.1)
    blocks = split((X, y, weight), 3)
    model = SVMClassifier(C=0.1).fit(blocks)
    check(model, alone)
    assert (model.coef_ == SVMClassifier(C=0.1).fit([ray.put(block) for block in blocks]).coef_).all()
    transport, lost = RayTransport(blocks), []

    def kill(summary):
        lost.extend(summary["lost"])
        if summary["round"] == 2 and not lost:
            os.kill(ray.get(transport.places[1].work.remote(lambda part: os.getpid())), signal.SIGKILL)

    check(SVMClassifier(C=0.1, tol=1e-4, callback=kill)._fit(transport), alone, tol=1e-4)
    assert lost == [1] and np.isfinite(model.coef_).all()
