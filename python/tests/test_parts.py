"""Training in parts without an engine: whatever the parts are and whatever is lost, the proved optimum of all rows."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp

import burn_svm
from burn_svm import _native, _parts


class Classifier(_parts.PartsClassifier):
    """On a transport of the test."""

    def fit(self, transport, classes=None):
        return self._fit(transport, classes)


def blobs(n=1200, d=12, k=4, seed=0):
    """Rows around a centre a class, with overlap, and a weight each."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % k
    X = (0.7 * rng.normal(size=(k, d)))[y] + rng.normal(size=(n, d))
    return X.astype(np.float32), np.array(["ant", "bee", "cat", "dog", "elk"])[y], rng.uniform(0.5, 2.0, n)


def split(arrays, parts, order=None):
    """Rows in so many partitions, dealt or in an order."""
    order = np.random.default_rng(1).permutation(len(arrays[1])) if order is None else order
    return [tuple(None if a is None else a[part] for a in arrays) for part in np.array_split(order, parts)]


def check(model, alone, tol=1e-3):
    """Proved, and equal to the optimum of one machine within the gaps of both."""
    assert model.gap_ <= tol and model.stop_reason_ == "gap_reached"
    assert model.dual_objective_ <= alone.objective_ * (1 + 1e-9)
    assert alone.dual_objective_ <= model.objective_ * (1 + 1e-9)
    assert model.objective_ <= alone.objective_ * (1 + 2 * tol)


def single(X, y, weight=None, **params):
    return burn_svm.SVMClassifier(tol=1e-5, **params).fit(X, y, weight)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"loss": "crammer_singer", "bias": "none", "class_weight": "balanced"},
        {"loss": "one_vs_rest", "power": 2, "center": "mean", "scale": "std"},
        {"loss": "top_k", "k": 2, "bias_scale": 3.0, "class_weight": {"ant": 2.0, "bee": 0.5}, "scale": "minmax"},
        {"loss": "weston_watkins", "smoothing": 0.5, "center": "mean"},
        {"loss": "one_vs_rest", "bias": "free", "class_weight": "balanced"},
    ],
    ids=lambda params: params.get("loss", "default"),
)
def test_the_optimum_is_that_of_all_rows(params):
    X, y, weight = blobs()
    alone = single(X, y, weight, C=0.1, **params)
    for parts, order in ((3, None), (5, np.argsort(y))):
        model = Classifier(C=0.1, **params).fit(_parts.LocalTransport(split((X, y, weight), parts, order), 2))
        check(model, alone)
        assert np.abs(model.coef_ - alone.coef_).max() < 0.05 * np.abs(alone.coef_).max()
        assert model.score(X, y) >= alone.score(X, y) - 0.01


def test_kinds_of_rows():
    X, y, _ = blobs()
    rows = {"u8": np.clip(100 + 20 * X, 0, 255).astype(np.uint8), "f64": X.astype(np.float64), "csr": sp.csr_matrix(np.where(X > 0.3, X, 0))}
    for kind, X in rows.items():
        params = {"C": 1e-5 if kind == "u8" else 0.1}
        blocks = split((X, y, None), 4)
        check(Classifier(**params).fit(_parts.LocalTransport(blocks)), single(X, y, **params))


def misaligned(a):
    """The array at an odd address, where messages leave some."""
    bytes = np.zeros(a.nbytes + 1, np.uint8)[1:]
    out = bytes.view(a.dtype).reshape(a.shape)
    out[...] = a
    assert a.itemsize == 1 or not out.flags.aligned
    return out


def test_arrays_at_odd_addresses():
    X, y, weight = blobs()
    y = np.unique(y, return_inverse=True)[1]
    blocks = split((X, y, weight), 3)
    odd = [tuple(map(misaligned, block)) for block in blocks]
    params = {"C": 0.1, "center": "mean"}
    assert (Classifier(**params).fit(_parts.LocalTransport(odd)).coef_ == Classifier(**params).fit(_parts.LocalTransport(blocks)).coef_).all()
    sparse = sp.csr_matrix(X)
    sparse.data, sparse.indices = misaligned(sparse.data), misaligned(sparse.indices)
    for rows in (misaligned(X), misaligned(X.astype(np.float64)), sparse):
        assert burn_svm.SVMClassifier(C=0.1).fit(rows, y).gap_ <= 1e-3


def test_empty_parts_and_parts_without_some_classes():
    X, y, weight = blobs()
    blocks = split((X, y, weight), 4, np.argsort(y, kind="stable"))
    none = (X[:0], y[:0], weight[:0])
    model = Classifier(C=0.1).fit(_parts.LocalTransport([none, *blocks[:2], none, *blocks[2:]]))
    check(model, single(X, y, weight, C=0.1))
    assert model.partition_sizes_ == [0, 300, 300, 0, 300, 300]
    given = Classifier(C=0.1).fit(_parts.LocalTransport(blocks), classes=["ant", "bee", "cat", "dog", "eel"])
    assert given.classes_.tolist() == ["ant", "bee", "cat", "dog", "eel"] and given.coef_.shape == (5, 12)


def test_the_same_parts_give_the_same_weights():
    X, y, weight = blobs()
    models = [Classifier(C=0.1).fit(_parts.LocalTransport(split((X, y, weight), 12), threads)) for threads in (1, 4)]
    assert (models[0].coef_ == models[1].coef_).all() and models[0].bytes_ == models[1].bytes_


class Losing(_parts.LocalTransport):
    """A transport that loses parts, and its hub, before some calls of ``map``."""

    def __init__(self, blocks, plan):
        super().__init__(blocks)
        self.plan, self.calls, self.hub_is_new = plan, 0, False

    def map(self, work, *shared):
        self.calls += 1
        if self.calls in self.plan:
            lost, hub = self.plan.pop(self.calls)
            for place in lost:
                self.places.pop(place, None)
            if hub:
                self.hub, self.hub_is_new = _parts.Hub(self.copies), True
                raise _parts.PartsLost
        return super().map(work, *shared)

    def replace(self):
        new, self.hub_is_new = self.hub_is_new, False
        return new


@pytest.mark.parametrize(
    "plan",
    [{4: ([1], False)}, {4: ([0, 2], False), 6: ([2], False)}, {5: ([], True)}, {3: ([3], True), 4: ([3], False), 5: ([], True)}, {1: ([], True), 2: ([0], False)}],
    ids=["a part", "two parts, and again", "the coordinator", "both, again and again", "at the beginning"],
)
def test_what_is_lost_begins_again(plan):
    X, y, weight = blobs(k=5)
    transport, lost = Losing(split((X, y, weight), 4), dict(plan)), []
    model = Classifier(C=1.0, tol=1e-4, callback=lambda summary: lost.extend(summary["lost"])).fit(transport)
    assert not transport.plan, "not everything was lost"
    check(model, single(X, y, weight, C=1.0), tol=1e-4)
    assert lost or list(plan)[0] == 1


class LosingLate(_parts.LocalTransport):
    """A transport that loses a part, or the coordinator with it, once the gap is small."""

    def __init__(self, blocks, hub):
        super().__init__(blocks)
        self.loses_hub, self.is_due, self.hub_is_new = hub, False, False

    def map(self, work, *shared):
        if self.is_due:
            self.is_due = False
            self.places.pop(1)
            if self.loses_hub:
                self.hub, self.hub_is_new = _parts.Hub(self.copies), True
                raise _parts.PartsLost
        return super().map(work, *shared)

    def replace(self):
        new, self.hub_is_new = self.hub_is_new, False
        return new


def late_loss(blocks, snapshot_rounds, hub):
    """The gap before a loss late in a run, those of the rounds after it, and the model."""
    transport, gaps, lost = LosingLate(blocks, hub), [(0, np.inf, False)], []

    def watch(summary):
        lost.extend(summary["lost"])
        if summary["round"] != gaps[-1][0] and np.isfinite(summary["gap"]):
            gaps.append((summary["round"], summary["gap"], bool(lost)))
            transport.is_due = summary["gap"] < 1e-3 and not any(after for *_, after in gaps)

    model = Classifier(C=0.1, tol=1e-4, snapshot_rounds=snapshot_rounds, callback=watch).fit(transport)
    assert lost, "nothing was lost"
    before = [gap for _, gap, after in gaps if not after]
    return before[-1], [gap for _, gap, after in gaps if after], model


@pytest.mark.parametrize("hub", [False, True], ids=["a part", "a part and the coordinator"])
def test_a_late_loss_costs_few_rounds(hub):
    X, y, weight = blobs(4000, 8, 5)
    blocks = split((X, y, weight), 4)
    alone = single(X, y, weight, C=0.1)
    before, with_copies, kept = late_loss(blocks, 3, hub)
    _, without, begun = late_loss(blocks, 0, hub)
    for model in (kept, begun):
        check(model, alone, tol=1e-4)
    assert with_copies[0] < 20 * before and with_copies[0] < 0.05 * without[0], (before, with_copies, without)
    assert len(with_copies) <= len(without) // 2, (with_copies, without)
    # A copy takes at most 4 bytes a row and class, and one a row.
    assert kept.bytes_ / kept.rounds_ < begun.bytes_ / begun.rounds_ + 4000 * (4 * 5 + 4)


def test_a_part_that_moves_keeps_its_variables():
    X, y, weight = blobs()
    blocks = split((X, y, weight), 3)

    class Moving(_parts.LocalTransport):
        def map(self, work, *shared):
            self.places = {place: pickle.loads(pickle.dumps(part)) for place, part in self.places.items()}
            return super().map(work, *shared)

    lost = []
    moved = Classifier(C=0.1, callback=lambda summary: lost.extend(summary["lost"])).fit(Moving(blocks))
    stayed = Classifier(C=0.1).fit(_parts.LocalTransport(blocks))
    assert not lost and (moved.coef_ == stayed.coef_).all()


def test_without_hot_rows_no_row_leaves_its_part():
    X, y, weight = blobs()
    seen = []
    model = Classifier(C=0.01, tol=1e-2, hot_rows=0, callback=lambda summary: seen.append(summary["hot_rows"])).fit(_parts.LocalTransport(split((X, y, weight), 2)))
    assert model.gap_ <= 1e-2 and set(seen) == {0}


def test_a_round_costs_about_four_bytes_a_weight_each_way():
    X, y, _ = blobs(4000, 100, 5)
    blocks, sent = split((X, y, None), 4), []
    Classifier(C=0.01, hot_rows=0, max_iter=4, callback=lambda summary: sent.append(summary["bytes"])).fit(_parts.LocalTransport(blocks))
    weights = 101 * 5
    rounds = np.diff(sent)[1:3]
    assert (rounds < 4 * 2 * 4 * weights * 1.1 + 4 * 1000).all(), rounds


def test_callback_and_limit_end_a_run_with_a_proof():
    X, y, weight = blobs(k=5)
    model = Classifier(C=10.0, tol=1e-6, callback=lambda summary: summary["round"] >= 3).fit
    with pytest.warns(match="relative gap"):
        stopped = model(_parts.LocalTransport(split((X, y, weight), 4)))
    assert 1e-6 < stopped.gap_ < 1 and stopped.rounds_ <= 5
    with pytest.warns(match="relative gap"):
        limited = Classifier(C=10.0, tol=1e-6, max_iter=2).fit(_parts.LocalTransport(split((X, y, weight), 4)))
    assert limited.n_iter_ == 2


class Blocks:
    """Blocks that are made anew each time."""

    def __init__(self, blocks):
        self.blocks, self.times, self.here = blocks, 0, 0

    def __iter__(self):
        self.times += 1
        for X, *others in self.blocks:
            yield X.copy(), *others


def test_blocks_that_come_one_after_another():
    X, y, weight = blobs()
    blocks = Blocks(split((X, y, weight), 5, np.argsort(y)))
    model = burn_svm.SVMClassifier(C=0.1).fit_blocks(blocks)
    check(model, single(X, y, weight, C=0.1))
    assert model.rounds_ < blocks.times <= model.rounds_ + 4
    assert model.predict(X).shape == (1200,) and model.certify(X, y, weight).gap <= 1e-3
    unweighted = burn_svm.SVMClassifier(C=0.1, center="mean", scale="std").fit_blocks([block[:2] for block in blocks.blocks])
    check(unweighted, single(X, y, C=0.1, center="mean", scale="std"))
    with pytest.raises(ValueError, match="blocks: found generator"):
        burn_svm.SVMClassifier().fit_blocks(block for block in blocks.blocks)
    with pytest.raises(ValueError, match="fit_blocks: found another solver"):
        burn_svm.SVMClassifier(solver="sgd").fit_blocks(blocks)



@pytest.mark.parametrize("bias", ["free", "regularised"])
def test_features_of_any_scale_and_a_free_bias_reach_a_small_gap(bias):
    X, y, weight = blobs(600, 8)
    X = ((X + 3) * 10.0 ** np.linspace(-3, 4, 8)).astype(np.float32)
    alone = burn_svm.SVMClassifier(tol=1e-7, bias=bias).fit(X, y, weight)
    model = Classifier(tol=1e-6, bias=bias).fit(_parts.LocalTransport(split((X, y, weight), 4, np.argsort(y))))
    check(model, alone, 1e-6)
    assert model.rounds_ <= 250
    blocks = burn_svm.SVMClassifier(tol=1e-6, bias=bias).fit_blocks(split((X, y, weight), 3))
    check(blocks, alone, 1e-6)


@pytest.mark.parametrize(
    ("params", "blocks", "words"),
    [
        ({"class_weight": "even"}, None, "class_weight: found 'even'"),
        ({"tol": 2.0}, None, "2 is out of range"),
        ({"loss": "mean"}, None, "loss: "),
        ({}, [(np.ones((2, 3)), [0, 0]), (np.ones((2, 3)), [0, 0])], "two classes or more"),
        ({}, [(np.ones((2, 3)), [0, 1]), (np.ones((2, 4)), [0, 1])], "features 3 and 4"),
        ({}, [(np.ones((2, 3)), [0, 1]), (np.full((2, 3), np.nan), [0, 1])], "partition 1: row 0, column 0: found NaN"),
        ({}, [(np.ones((2, 3)), [0, 1, 1])], "partition 0: found 3 labels"),
        ({}, [(np.ones((2, 3)), [0, 1], [1.0, -1.0])], "partition 0: sample_weight"),
        ({}, [(np.ones((2, 3)), [0.5, 1.25])], "partition 0: Unknown label type"),
        ({}, [(np.array([["a"], ["b"]]), [0, 1])], "partition 0: X: found 2 dimensions of <U1"),
        ({}, [(np.ones((2, 3)), [0, 1]), (sp.csr_matrix(np.ones((2, 3))), [0, 1])], "sparse and of dense"),
        ({}, [(np.ones((0, 3)), [])], "found no rows"),
    ],
)
def test_mistakes_are_told_in_a_sentence(params, blocks, words):
    X, y, weight = blobs(60)
    with pytest.raises(ValueError, match=None) as error:
        Classifier(**params).fit(_parts.LocalTransport(blocks or split((X, y, weight), 2)))
    assert words in str(error.value), error.value


def test_damaged_messages_are_errors():
    X, y, _ = blobs(60)
    rows, indices = np.ascontiguousarray(X), np.unique(y, return_inverse=True)[1].astype(np.uint32)
    model = Classifier()._alone()
    setting = _native.PartsSetting(model._options(None, False), ["a", "b", "c", "d"], 12, 60, False)
    coordinator = _native.PartsCoordinator(setting, 1, 1e-3, 10, 10)
    request = coordinator.request()
    zero = _native.PartVariables.zero(60, 4)
    variables, answer = _native.part_answer(setting, rows, indices, 0, zero, request)
    kept = variables.to_bytes()
    rng = np.random.default_rng(0)
    for name, bytes, read in (
        ("request", request, lambda bytes: _native.part_answer(setting, rows, indices, 0, zero, bytes)),
        ("answer", answer, lambda bytes: coordinator.tell(setting, bytes)),
        ("variables", kept, lambda bytes: _native.PartVariables.from_bytes(bytes, 4)),
    ):
        for _ in range(200):
            damaged = bytearray(bytes)
            damaged[rng.integers(len(damaged))] ^= 1 << rng.integers(8)
            for broken in (damaged, bytes[: rng.integers(len(bytes))], bytes + b"x"):
                with pytest.raises(ValueError, match="a message between parts"):
                    read(broken if isinstance(broken, type(b"")) else type(b"")(broken))
    other = _native.PartsSetting(model._options(None, False), ["a", "b", "c"], 12, 60, False)
    with pytest.raises(ValueError, match="another number of features, classes or rows"):
        _native.part_answer(other, rows, indices % 3, 0, _native.PartVariables.zero(60, 3), request)
    with pytest.raises(ValueError, match="variables of other rows"):
        _native.part_answer(setting, rows[:30], indices[:30], 0, zero, request)
