"""Training on a Ray cluster: ``pip install ray``.

The partitions are a list of object references, or of values, each ``(X, y)`` or ``(X, y, weight)``.
"""

import ray
from ray.exceptions import RayActorError

from . import _parts
from ._parts import Hub, Part, PartsClassifier, PartsLost


@ray.remote(num_cpus=1)
class _Place:
    """A part with its rows, in an actor."""

    def __init__(self, place, block):
        self.part = Part(place, *block)

    def work(self, function, *shared):
        return function(self.part, *shared)


@ray.remote(num_cpus=0)
class _HubPlace:
    """The coordinator, in an actor."""

    def __init__(self, copies):
        self.hub = Hub(copies)

    def copies(self):
        return self.hub.copies

    def work(self, finish, joined, *shared):
        reply = finish(self.hub, joined, *shared)
        return reply, reply.summary

    def ping(self):
        return True


@ray.remote(num_cpus=0, scheduling_strategy="SPREAD")
def _copy(copies):
    return dict(copies)


@ray.remote(num_cpus=0)
def _merge(merge, n, *values):
    # Ray hands values over for references only where these are arguments themselves.
    return merge(list(values[:n]), *values[n:])


class RayTransport:
    """Parts in actors of Ray; messages go from actor to actor, and only summaries come to the driver."""

    def __init__(self, blocks):
        self.blocks = [ray.put(block) if isinstance(block, tuple) else block for block in blocks]
        self.places = [self._place(place) for place in range(len(self.blocks))]
        self.hub, self.copies = _HubPlace.remote(None), None

    def _place(self, place):
        return _Place.remote(place, self.blocks[place])

    def parts(self):
        """Number of parts."""
        return len(self.blocks)

    def map(self, work, *shared):
        """``work(part, *shared)`` of every part, beside it."""
        return [place.work.remote(work, *shared) for place in self.places]

    def reduce(self, merge, finish, answers, *shared, merge_with=()):
        """``finish(hub, merged, *shared)`` beside the coordinator; a reference to it, and its summary."""

        def merge_later(group, *others):
            return _merge.remote(merge, len(group), *group, *others)

        joined = _parts.merged(merge_later, answers, merge_with)
        reply, summary = self.hub.work.options(num_returns=2).remote(finish, joined, *shared)
        try:
            found = ray.get(summary)
            if found.get("copied"):
                self.copies = _copy.remote(self.hub.copies.remote())
            return reply, found
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, RayActorError):
                raise PartsLost from error
            raise error.as_instanceof_cause() from None
        except (RayActorError, ray.exceptions.ObjectLostError) as error:
            raise PartsLost from error

    def kept(self, value):
        """A value of an actor, held by the driver."""
        return ray.put(ray.get(value))

    def replace(self):
        """Other actors for those that have died; whether the coordinator's had."""

        def lives(actor, ask):
            try:
                ray.get(ask(actor))
                return True
            except RayActorError:
                return False

        for place, actor in enumerate(self.places):
            if not lives(actor, lambda actor: actor.work.remote(_is_there)):
                self.places[place] = self._place(place)
        if lives(self.hub, lambda hub: hub.ping.remote()):
            return False
        # If the copies are lost, too, the actor does not come up, and the next has none.
        self.hub, self.copies = _HubPlace.remote(self.copies), None
        return True


def _is_there(part):
    return True


class SVMClassifier(PartsClassifier):
    """Multiclass linear support vector machine on a Ray cluster, solved to a proved optimum.

    Parameters and attributes are those of :class:`burn_svm.dask.SVMClassifier`.
    """

    def fit(self, partitions, classes=None):
        """Fit the model.

        Parameters
        ----------
        partitions : list of tuples (X, y) or (X, y, weight), or of references to such
            X is an array, a CSR matrix or a frame. Each is held by an actor of its own, which takes one processor.
        classes : array-like, optional
            All classes, where not every one need occur.

        Returns
        -------
        self : SVMClassifier
        """
        return self._fit(RayTransport(list(partitions)), classes)
