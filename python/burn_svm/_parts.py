"""Training on rows that lie in parts: the work beside each part, the work in one place, and the loop, whatever carries the messages.

Every request has a number. A part keeps the dual variables that it had before the last request and those after it, so that a request may be
made again, or withdrawn where another part was lost. Every few rounds the coordinator gets copies of the dual variables of all parts, and a second
place has those; a part that is lost goes on from its copy, and no bound that was proved is lost.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _num_samples, column_or_1d

from . import _classes, _data, _native
from ._base import LinearClassifier, number, warn_if_short, whole

#: Bytes of hot rows, at most, unless ``hot_rows`` says their number.
HOT_BYTES = 256 << 20
#: Rounds between two copies of the dual variables, unless ``snapshot_rounds`` says their number, and bytes of them (4 a row and class, at most).
SNAPSHOT_ROUNDS = 5
SNAPSHOT_BYTES = 256 << 20
#: Rounds, at most, unless ``max_iter`` says their number.
ROUNDS = 1000
#: Answers that are joined at a time.
FAN_IN = 8
#: Replacements in a row without an answer between them, after which a run gives up.
PATIENCE = 10


class PartsLost(Exception):
    """The places of some parts, or of the coordinator, are gone; a transport raises it and has others after ``replace``."""


@dataclass
class Survey:
    """A look at the rows of some parts."""

    sizes: list
    n_features: int | None = None
    kinds: set = field(default_factory=set)
    blurred: bool = False
    n_bytes: int = 0
    labels: np.ndarray | None = None
    counts: np.ndarray | None = None
    totals: np.ndarray | None = None
    weighted: bool = False
    names: list | None = None
    first: np.ndarray | None = None

    def merged(self, other):
        """With the rows of the parts behind these."""
        if self.labels is None or other.labels is None:
            kept = self if other.labels is None else other
            return replace(kept, sizes=self.sizes + other.sizes)
        for name, noun in (("n_features", "features"), ("names", "columns")):
            if getattr(self, name) != getattr(other, name):
                raise ValueError(f"X: found partitions with the {noun} {getattr(self, name)} and {getattr(other, name)}, expected the same in all")
        labels, places = np.unique(np.concatenate((self.labels, other.labels)), return_inverse=True)
        sums = (np.bincount(places, weights=np.concatenate(pair), minlength=len(labels)) for pair in ((self.counts, other.counts), (self.totals, other.totals)))
        return Survey(
            self.sizes + other.sizes,
            self.n_features,
            self.kinds | other.kinds,
            self.blurred or other.blurred,
            self.n_bytes + other.n_bytes,
            labels,
            *sums,
            self.weighted or other.weighted,
            self.names,
            self.first,
        )


@dataclass
class Plan:
    """The common ground of a run: what each part has to know but its rows."""

    options: dict
    classes: np.ndarray
    n_features: int
    sizes: list
    kind: str
    n_bytes: int
    names: list | None
    shift: np.ndarray
    class_weight: np.ndarray | None
    tol: float
    rounds: int
    hot_rows: int
    snapshot_rounds: int
    sums: tuple | None = None

    @property
    def summary(self):
        """What the caller has to know of it."""
        return {name: getattr(self, name) for name in ("classes", "n_features", "names", "sizes", "class_weight", "needs_sums")}

    @property
    def needs_sums(self):
        """Whether sums over the columns are missing, from which the preprocessing is made."""
        return self.sums is None and (self.options["center"] != "none" or self.options["scale"] in ("std", "minmax"))

    def __getstate__(self):
        return {name: value for name, value in vars(self).items() if name != "setting"}

    @cached_property
    def setting(self):
        """The native module's."""
        n = sum(self.sizes)
        sums = None if self.sums is None else (self.sums[0], [np.require(column, requirements="CA") for column in self.sums[1]])
        return _native.PartsSetting(self.options, _data.class_names(self.classes), self.n_features, n, self.kind == "f64", sums)


@dataclass
class Reply:
    """The coordinator's next request, or the result."""

    serial: int
    #: The request whose variables it builds upon.
    base: int
    #: Parts that begin again: of each its rows that are away, and the copies of its variables.
    restore: dict
    request: bytes | None
    summary: dict
    #: Whether the parts are to send copies of their variables.
    snapshot: bool = False


@dataclass
class PartAnswers:
    """The answers of parts that follow each other."""

    content: bytes | None
    lost: list
    n_bytes: int
    #: Of each part a copy of its variables, where one was wanted.
    copies: dict = field(default_factory=dict)


class Part:
    """Rows of a partition, and their dual variables."""

    def __init__(self, place, X, y, weight=None):
        self.place, self.block = place, (X, y, weight)
        self.forget()

    def forget(self):
        """Begin anew."""
        self.kept, self.answered, self.ready = {}, (None, None), None

    def __getstate__(self):
        kept = {serial: variables.to_bytes() for serial, variables in self.kept.items()}
        return {"place": self.place, "block": self.block, "kept": kept, "n_classes": self.ready.n_classes if self.ready else 0}

    def __setstate__(self, state):
        self.__init__(state["place"], *state["block"])
        self.kept = {serial: _native.PartVariables.from_bytes(bytes, state["n_classes"]) for serial, bytes in state["kept"].items()}

    def beside(self, block, work, *shared):
        """Work while the rows are here."""
        X, y, *weight = map(_data.of_dlpack, block)
        X = X if _data.is_frame(X) or sp.issparse(X) else np.asarray(X)
        self.block = (X, y, *(weight or [None]))
        try:
            return work(self, *shared)
        finally:
            self.block, self.ready, self.answered = None, None, (None, None)

    def survey(self):
        """A look at the rows."""
        self.forget()
        X, y, weight = self.block
        n = _num_samples(X)
        if n == 0:
            return Survey([0])
        with _named(self.place):
            y = column_or_1d(np.asarray(y))
            check_classification_targets(y)
            if len(y) != n or (weight is not None and np.shape(weight) != (n,)):
                raise ValueError(f"found {len(y)} labels and {'no' if weight is None else len(weight)} weights for {n} rows, expected one a row")
            labels, places = np.unique(y, return_inverse=True)
            counts = np.bincount(places).astype(float)
            weights = None if weight is None else _weights(weight)
            totals = counts if weights is None else np.bincount(places, weights=weights)
            kind, n_features, names, blurred = _kind(X)
            n_bytes = 8 * X.nnz if sp.issparse(X) else n * n_features * {"u8": 1, "f32": 4, "f64": 8}[kind]
            first = np.zeros(n_features) if kind == "csr" else _dense(X[:1], np.float64)[0]
        return Survey([n], n_features, {kind}, blurred, n_bytes, labels, counts, totals, weights is not None, names, first)

    def sums(self, plan):
        """Sums over the columns."""
        with _named(self.place):
            return [_native.column_sums(self._ready(plan).rows, np.require(plan.shift, requirements="CA"))]

    def answer(self, plan, reply):
        """The answer to a request."""
        if self.answered[0] == reply.serial:
            return self.answered[1]
        ready = self._ready(plan)
        if self.place in reply.restore:
            away, copies = reply.restore[self.place]
            newest = self.kept[max(self.kept)] if self.kept else _native.PartVariables.zero(0, ready.n_classes)
            for copy in copies:
                newest = newest.filled(_native.PartVariables.from_bytes(copy, ready.n_classes), ready.n_classes)
            before = newest.restored(ready.n, np.require(away, requirements="CA"), ready.n_classes)
        elif reply.base in self.kept:
            before = self.kept[reply.base]
        else:
            return PartAnswers(None, [self.place], 0)
        with _named(self.place):
            after, content = _native.part_answer(plan.setting, ready.rows, ready.indices, self.place, before, reply.request, ready.weights)
        self.kept = {serial: self.kept[serial] for serial in (reply.base,) if serial in self.kept} | {reply.serial: after}
        copies = {self.place: after.snapshot(ready.n_classes).to_bytes()} if reply.snapshot else {}
        self.answered = (reply.serial, PartAnswers(content, [], len(content) + sum(map(len, copies.values())), copies))
        return self.answered[1]

    def _ready(self, plan):
        """The rows as the native module takes them, with no copy where none is needed."""
        if self.ready is None:
            with _named(self.place):
                self.ready = ReadyRows(self.block, plan)
        return self.ready


class ReadyRows:
    """Rows, class indices and weights of a part."""

    def __init__(self, block, plan):
        X, y, weight = block
        self.n, self.n_classes = _num_samples(X), len(plan.classes)
        if plan.kind == "csr":
            X = sp.csr_matrix(X) if self.n else sp.csr_matrix((0, plan.n_features))
            self.rows, _ = _data.native_rows(X.astype(np.float32, copy=False))
        else:
            kind = {"u8": np.uint8, "f32": np.float32, "f64": np.float64}[plan.kind]
            self.rows = _dense(X, kind) if self.n else np.zeros((0, plan.n_features), kind)
        self.indices = _data.index_of(plan.classes, np.asarray(y)) if self.n else np.zeros(0, np.uint32)
        self.weights = None if weight is None or not self.n else _weights(weight).astype(np.float32)


class _named:
    """Errors with the number of the partition that they are about."""

    def __init__(self, place):
        self.place = place

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if isinstance(error, (ValueError, TypeError)) and not str(error).startswith("partition "):
            raise ValueError(f"partition {self.place}: {error}") from error


def _weights(weight):
    weights = np.asarray(weight, dtype=np.float64)
    if not (np.isfinite(weights) & (weights >= 0)).all():
        raise ValueError("sample_weight: found a number that is negative or not finite, expected weights of 0 or more")
    return weights


def _columns(X):
    """The columns of a frame, which are numbers."""
    import narwhals.stable.v2 as nw

    frame = nw.from_native(X, eager_only=True)
    columns = [frame[:, j].to_numpy() for j in range(frame.shape[1])]
    for name, column in zip(frame.columns, columns, strict=True):
        if column.dtype.kind not in "buif":
            raise ValueError(f"X: found a column {name!r} of type {column.dtype}, expected booleans, integers or floats")
    return columns, [str(name) for name in frame.columns]


def _dense(X, dtype):
    """Rows in C order, with no copy where they are so already."""
    if not _data.is_frame(X):
        # Arrays out of messages may begin at any byte.
        return np.require(X.view(np.uint8) if X.dtype == np.bool_ else X, dtype, "CA")
    columns, _ = _columns(X)
    out = np.empty((_num_samples(X), len(columns)), dtype)
    for j, column in enumerate(columns):
        out[:, j] = column
    return out


def _kind(X):
    """The form in which rows would be kept, the number and the names of their features, and whether single precision would blur them."""
    if sp.issparse(X):
        return "csr", X.shape[1], None, False
    names, dtypes = None, None
    if _data.is_frame(X):
        columns, names = _columns(X)
        dtypes = {column.dtype for column in columns}
    else:
        if np.ndim(X) != 2 or X.dtype.kind not in "buif":
            raise ValueError(f"X: found {np.ndim(X)} dimensions of {getattr(X, 'dtype', type(X))}, expected rows of booleans, integers or floats")
        dtypes = {X.dtype}
    n_features = X.shape[1]
    if n_features == 0:
        raise ValueError("X: found no features, expected one or more")
    if all(dtype in (np.uint8, np.bool_) for dtype in dtypes):
        return "u8", n_features, names, False
    if all(dtype in (np.float16, np.float32, np.uint8, np.int8, np.uint16, np.int16, np.bool_) for dtype in dtypes):
        return "f32", n_features, names, False
    rows = np.linspace(0, X.shape[0] - 1, min(X.shape[0], 1024)).astype(np.intp)
    sample = _dense(X.iloc[rows] if hasattr(X, "iloc") else X[rows], np.float64)
    return "f64", n_features, names, _native.is_blurred(sample)


def survey(part):
    """See :meth:`Part.survey`."""
    return part.survey()


def sums(part, plan):
    """See :meth:`Part.sums`."""
    return part.sums(plan)


def answer(part, plan, reply):
    """See :meth:`Part.answer`."""
    return part.answer(plan, reply)


def merge_surveys(surveys):
    """Surveys of parts that follow each other as one."""
    first, *others = surveys
    for other in others:
        first = first.merged(other)
    return first


def merge_sums(lists):
    """Sums over columns of parts that follow each other as one."""
    rows, (shift, total, square, low, high, stored) = lists[0][0]
    for more, (_, *other) in ((n, columns) for [(n, columns)] in lists[1:]):
        rows, total, square = rows + more, total + other[0], square + other[1]
        low, high, stored = np.minimum(low, other[2]), np.maximum(high, other[3]), stored + other[4]
    return [(rows, [shift, total, square, low, high, stored])]


def merge_answers(answers, plan):
    """Answers of parts that follow each other as one."""
    lost, n_bytes = [place for one in answers for place in one.lost], sum(one.n_bytes for one in answers)
    if lost:
        return PartAnswers(None, lost, n_bytes)
    copies = {place: copy for one in answers for place, copy in one.copies.items()}
    return PartAnswers(_native.merge_answers(plan.setting, [one.content for one in answers]), [], n_bytes, copies)


def make_plan(hub, surveyed, model, given):
    """The plan of a run, of a survey of all parts."""
    if surveyed.labels is None:
        raise ValueError("X: found no rows, expected one or more")
    kinds = surveyed.kinds
    if "csr" in kinds and len(kinds) > 1:
        raise ValueError("X: found partitions of sparse and of dense rows, expected one kind")
    n = sum(surveyed.sizes)
    wide = "f64" in kinds and (surveyed.blurred or n * surveyed.n_features <= _data.SMALL)
    kind = "csr" if "csr" in kinds else "u8" if kinds == {"u8"} else "f64" if wide else "f32"
    classes, totals, counts = surveyed.labels, surveyed.totals, surveyed.counts
    if given is not None:
        classes = np.unique(given)
        unknown = np.setdiff1d(surveyed.labels, classes)
        if len(unknown):
            raise ValueError(f"classes: found the label {unknown[0]!r} in y, expected one of {classes}")
        places = np.searchsorted(classes, surveyed.labels)
        totals, counts = (np.bincount(places, weights=sums, minlength=len(classes)) for sums in (totals, counts))
    if (totals > 0).sum() < 2:
        raise ValueError("Invalid input: expected rows of two classes or more, found one class only")
    by_class = _class_weights(model.class_weight, classes, totals)
    options = model._options(by_class, kind == "f64")
    row_bytes = surveyed.n_bytes / n + 8 * len(classes)
    hot = int(HOT_BYTES / row_bytes) if model.hot_rows is None else whole("hot_rows", model.hot_rows)
    fits = 4 * n * len(classes) <= SNAPSHOT_BYTES
    every = SNAPSHOT_ROUNDS * fits if model.snapshot_rounds is None else whole("snapshot_rounds", model.snapshot_rounds)
    return Plan(
        options, classes, surveyed.n_features, surveyed.sizes, kind, surveyed.n_bytes, surveyed.names, surveyed.first, by_class,
        number("tol", model.tol), ROUNDS if model.max_iter is None else max(1, whole("max_iter", model.max_iter)), max(0, hot), max(0, every),
    )  # fmt: skip


def _class_weights(class_weight, classes, totals):
    """Weights of classes by the weights of all rows of each."""
    if class_weight is None:
        return None
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise ValueError(f'class_weight: found {class_weight!r}, expected "balanced", a dictionary or None')
        return np.divide(totals.sum() / len(classes), totals, out=np.zeros(len(classes)), where=totals > 0)
    return compute_class_weight(class_weight, classes=classes, y=classes)


def plan_with_sums(hub, added, plan):
    """The plan with the sums over the columns."""
    return replace(plan, sums=added[0])


class Hub:
    """The place of the coordinator, and of copies of the dual variables of all parts."""

    def __init__(self, copies=None):
        self.coordinator, self.reply = None, Reply(0, 0, {}, None, {})
        #: Of each part the variables of its rows at home, and of those that were hot.
        self.copies = copies or {}

    def begin(self, plan, serial, lost):
        """The first request of a coordinator; after another that is lost, with the parts as they are."""
        self.setting, self.n_parts, self.n_classes, self.every = plan.setting, len(plan.sizes), len(plan.classes), plan.snapshot_rounds
        self.coordinator = _native.PartsCoordinator(self.setting, self.n_parts, plan.tol, plan.rounds, plan.hot_rows)
        self.started, self.n_bytes = time.monotonic(), 0
        if lost:
            self.coordinator.lost()
        everybody = range(self.n_parts)
        restore = {place: (np.zeros(0, np.uint32), self.copies.get(place, ())) for place in everybody}
        return self._next(serial, serial - 1, restore, list(everybody) if lost else [])

    def tell(self, plan, answers, reply, stop):
        """The next request, after the answers to one."""
        if self.coordinator is None or self.reply.serial not in (reply.serial, reply.serial + 1):
            return self.begin(plan, reply.serial + 1, True)
        if self.reply.serial == reply.serial + 1:
            return self.reply
        base, restore, lost = reply.serial, {}, answers.lost
        self.n_bytes += answers.n_bytes
        if lost:
            self.coordinator.lost()
            # Those that began again with this request begin again once more: it is withdrawn.
            again = sorted({*lost, *reply.restore})
            base, restore = reply.base, {place: (self.coordinator.away(place), self.copies.get(place, ())) for place in again}
        else:
            self.coordinator.tell(self.setting, answers.content)
        if answers.copies and not lost:
            # Another dictionary: the one before may be on its way.
            self.copies = {place: (copy, self._hot_copy(place)) for place, copy in answers.copies.items()}
        if stop:
            self.coordinator.stop()
        return self._next(reply.serial + 1, base, restore, lost, bool(answers.copies))

    def _hot_copy(self, place):
        """A copy of the variables of the rows of a part that are not with it."""
        return self.coordinator.variables_away(place).snapshot(self.n_classes).to_bytes()

    def _next(self, serial, base, restore, lost, copied=False):
        request, seconds = self.coordinator.request(), time.monotonic() - self.started
        summary = dict(self.coordinator.progress, serial=serial, seconds=seconds, bytes=self.n_bytes, lost=lost, done=request is None, copied=copied)
        if request is None:
            summary["fitted"] = self.coordinator.fitted(self.setting, seconds)
        else:
            self.n_bytes += len(request) * self.n_parts
        self.reply = Reply(serial, base, restore, request, summary, self.every > 0 and serial % self.every == 0)
        return self.reply


def begin(hub, nothing, plan, serial):
    """See :meth:`Hub.begin`."""
    return hub.begin(plan, serial, serial > 1)


def tell(hub, answers, plan, reply, stop):
    """See :meth:`Hub.tell`."""
    return hub.tell(plan, answers, reply, stop)


class LocalTransport:
    """Parts in this process, on threads: the four methods that a transport has, for tests and as a model for others.

    ``map`` and ``reduce`` take values that ``reduce`` has returned, as they are.
    """

    def __init__(self, blocks, threads=1):
        self.blocks, self.pool = list(blocks), ThreadPoolExecutor(threads)
        self.places, self.hub, self.copies = {}, Hub(), {}

    def parts(self):
        """Number of parts."""
        return len(self.blocks)

    def _part(self, place):
        if place not in self.places:
            self.places[place] = Part(place, *self.blocks[place])
        return self.places[place]

    def map(self, work, *shared):
        """``work(part, *shared)`` of every part, in their order; what it returns stays there."""
        return list(self.pool.map(lambda place: work(self._part(place), *shared), range(self.parts())))

    def reduce(self, merge, finish, answers, *shared, merge_with=()):
        """``finish(hub, merged, *shared)`` beside the coordinator, of the answers joined by ``merge(list, *merge_with)``; and its summary.

        Where that says that there are copies, they are kept in a second place, for the next :class:`Hub`.
        """
        reply = finish(self.hub, merged(merge, answers, merge_with), *shared)
        if reply.summary.get("copied"):
            self.copies = self.hub.copies
        return reply, reply.summary

    def kept(self, value):
        """What stays in one place, as something that outlives that place."""
        return value

    def replace(self):
        """Other places for those that are gone; whether the coordinator's was."""
        return False


class BlocksTransport(LocalTransport):
    """Parts whose rows come one after another, anew in each round: one of them is in memory at a time."""

    def __init__(self, blocks):
        super().__init__(())
        if iter(blocks) is blocks:
            raise ValueError(f"blocks: found {type(blocks).__name__}, which ends once, expected an iterable that begins again, as a list or a class with __iter__")
        self.blocks = blocks

    def parts(self):
        """Number of parts."""
        return len(self.places)

    def map(self, work, *shared):
        """The work of each part when its rows come; what it returns is joined before the next."""
        known = len(self.places)
        for place, block in enumerate(self.blocks):
            if place not in self.places:
                self.places[place] = Part(place, None, None)
            yield self.places[place].beside(block, work, *shared)
            known -= 1
        if known > 0:
            raise ValueError(f"blocks: found {known} fewer than before, expected the same each time")

    def reduce(self, merge, finish, answers, *shared, merge_with=()):
        """As of :class:`LocalTransport`, of answers that come."""
        joined = None
        for one in answers:
            joined = one if joined is None else merge([joined, one], *merge_with)
        return super().reduce(merge, finish, [] if joined is None else [joined], *shared, merge_with=merge_with)


def merged(merge, answers, merge_with):
    """Answers joined, a few at a time, in the same way wherever they are."""
    while len(answers) > 1:
        answers = [merge(answers[i : i + FAN_IN], *merge_with) for i in range(0, len(answers), FAN_IN)]
    return answers[0] if answers else None


class Run:
    """A run of a transport, which begins again where it lost something."""

    def __init__(self, transport):
        self.transport, self.serial, self.plan = transport, 1, None

    def _tried(self, work):
        """Work, repeated after other places were found; None where the coordinator is gone."""
        for _ in range(PATIENCE):
            try:
                return work()
            except PartsLost:
                if self.transport.replace():
                    return None
        raise RuntimeError(f"the run was given up: its workers were lost {PATIENCE} times in a row")

    def _step(self, work, merge, finish, shared, merge_with=(), more=()):
        def step():
            answers = self.transport.map(work, *shared)
            return self.transport.reduce(merge, finish, answers, *shared, *more, merge_with=merge_with)

        for _ in range(PATIENCE):
            if (found := self._tried(step)) is not None:
                return found
        raise RuntimeError(f"the run was given up: its coordinator was lost {PATIENCE} times in a row")

    def prepare(self, model, classes):
        """The plan and its summary."""
        self.plan, summary = self._step(survey, merge_surveys, make_plan, (), more=(model, classes))
        if summary["needs_sums"]:
            self.plan, summary = self._step(sums, merge_sums, plan_with_sums, (self.plan,))
        self.plan = self.transport.kept(self.plan)
        return summary

    def _begin(self):
        for _ in range(PATIENCE):
            begun = self._tried(lambda: self.transport.reduce(None, begin, [], self.plan, self.serial))
            if begun is not None:
                return begun
        raise RuntimeError(f"the run was given up: its coordinator was lost {PATIENCE} times in a row")

    def solve(self, tell_user):
        """The result; ``tell_user`` is called with each summary, and ends the run where it returns true."""
        reply, summary = self._begin()
        interrupted, stop = None, False
        while not summary["done"]:
            stop = bool(tell_user(summary)) or stop

            def step(reply=reply, stop=stop):
                answers = self.transport.map(answer, self.plan, reply)
                return self.transport.reduce(merge_answers, tell, answers, self.plan, reply, stop, merge_with=(self.plan,))

            self.serial = summary["serial"] + 1
            try:
                found = self._tried(step)
            except KeyboardInterrupt as error:
                if interrupted is not None:
                    raise
                interrupted, stop = error, True
                continue
            reply, summary = found if found is not None else self._begin()
        tell_user(summary)
        return summary, interrupted


class PartsClassifier(LinearClassifier):
    """The estimators whose rows lie in parts."""

    def __init__(
        self,
        loss="weston_watkins",
        power=1,
        C=1.0,
        margin=1.0,
        smoothing=0.0,
        k=None,
        costs=None,
        bias="regularised",
        bias_scale=1.0,
        class_weight=None,
        tol=1e-3,
        max_iter=None,
        center="none",
        scale="none",
        random_state=0,
        hot_rows=None,
        snapshot_rounds=None,
        callback=None,
        verbose=0,
    ):
        self.loss = loss
        self.power = power
        self.C = C
        self.margin = margin
        self.smoothing = smoothing
        self.k = k
        self.costs = costs
        self.bias = bias
        self.bias_scale = bias_scale
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter
        self.center = center
        self.scale = scale
        self.random_state = random_state
        self.hot_rows = hot_rows
        self.snapshot_rounds = snapshot_rounds
        self.callback = callback
        self.verbose = verbose

    #: Parameters that :class:`burn_svm.SVMClassifier` does not have.
    _OWN = ("hot_rows", "snapshot_rounds", "callback")

    def _alone(self):
        """The estimator of one machine with the same parameters."""
        params = self.get_params(deep=False)
        return _classes.SVMClassifier(**{name: value for name, value in params.items() if name not in self._OWN})

    def _fit(self, transport, classes=None):
        """Fit the model to the parts of a transport."""
        model = self._alone()
        model.n_jobs = 1
        model.hot_rows, model.snapshot_rounds = self.hot_rows, self.snapshot_rounds
        # Options are looked at before the rows.
        model._options(None, False)
        run = Run(transport)
        plan = run.prepare(model, classes)
        found, interrupted = run.solve(self._tell)
        self.classes_, self.n_features_in_ = plan["classes"], plan["n_features"]
        if plan["names"] is not None:
            self.feature_names_in_ = np.array(plan["names"], dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        self._keep(found["fitted"])
        self.rounds_, self.bytes_ = found["round"], found["bytes"]
        self.partition_sizes_ = plan["sizes"]
        if interrupted is not None:
            raise interrupted
        warn_if_short(found["fitted"], self.tol)
        return self

    def _tell(self, summary):
        """Show a round, and ask the callback whether the run is to end."""
        if self.verbose:
            print(line(summary), flush=True)
        shown = {name: value for name, value in summary.items() if name not in ("fitted", "copied")}
        return self.callback is not None and self.callback(shown)

    def to_local(self):
        """The fitted estimator of one machine.

        Returns
        -------
        model : burn_svm.SVMClassifier
        """
        model = self._alone()
        for name, value in vars(self).items():
            if name.endswith("_") or name == "_file":
                setattr(model, name, value)
        return model

    @property
    def model_(self):
        """See :meth:`to_local`."""
        return self.to_local()


def line(summary):
    """A round as a line."""
    lost = f"  lost {len(summary['lost'])} partitions" if summary["lost"] else ""
    return (
        f"round {summary['round']}  objective {summary['objective']:.6g}  gap {summary['gap']:.1e}  hot rows {summary['hot_rows']}  "
        f"sent {summary['bytes'] / 1e6:.1f} MB  {summary['seconds']:.1f} s{lost}"
    )
