"""Progress of a fit: lines, and the callbacks of scikit-learn 1.9."""

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # before scikit-learn 1.9

    class CallbackSupportMixin:
        """No callbacks."""

    def with_callbacks(method):
        """The method as it is."""
        return method


def printed(moment):
    """Print a moment of a run as a line."""
    parts = [f"epoch {moment['epoch']:.0f}"]
    if moment["objective"] is not None:
        parts.append(f"objective {moment['objective']:.6g}")
    if moment["gap"] is not None:
        parts.append(f"gap {moment['gap']:.1e}")
    print("  ".join([*parts, f"{moment['seconds']:.1f} s"]), flush=True)


class Progress:
    """The progress of a fit of an estimator: a task with a subtask for each moment that is told."""

    def __init__(self, estimator, X, y):
        self.estimator = estimator
        self.about = {"estimator": estimator, "X": X, "y": y}
        self.task = self.subtask = None
        if getattr(estimator, "_skl_callbacks", None):
            self.task = estimator._init_callback_context(max_subtasks=None)
            self.task.call_on_fit_task_begin(**self.about)

    def teller(self):
        """The function that the native module calls, or None where nobody listens."""
        return self.tell if self.task is not None or self.estimator.verbose else None

    def tell(self, moment):
        """Pass a moment on; whether the fit is to end."""
        if self.estimator.verbose:
            printed(moment)
        if self.task is None:
            return False
        stop = self._end()
        self.subtask = self.task.subcontext(task_name="progress")
        self.subtask.call_on_fit_task_begin(**self.about)
        return stop

    def _end(self):
        return self.subtask is not None and bool(self.subtask.call_on_fit_task_end(**self.about))

    def close(self):
        """The end of the fit."""
        if self.task is not None:
            self._end()
            self.task.call_on_fit_task_end(**self.about)
