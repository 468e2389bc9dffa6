"""Runs a reporting function as a generator of its reports, so that both forms of a trainable are trained alike.

The function runs in a greenlet: on the same OS thread, with its own stack. `ctx.report` passes the metrics to the
caller that advances the generator, and returns when the caller asks for the next ones.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from contextvars import copy_context

from greenlet import getcurrent, greenlet

from hpo.core.errors import TrainableError

MAX_ENDINGS = 10
"""How often `TrainingEnded` is raised in a function that goes on reporting."""

_stuck: list[greenlet] = []
"""Functions that do not end. A reference is kept because garbage collection would resume them at any moment."""


class TrainingEnded(BaseException):
    """Raised by `ctx.report` to end a training that is pruned, has failed, or is interrupted.

    It is not an `Exception`, so that error handling in user code does not catch it. `finally` blocks run.
    """


class FunctionRun:
    """One call of a reporting function.

    Args:
        call: calls the function and returns its value.

    Attributes:
        returned: return value of the function; None until it returns.
        is_stuck: whether the function did not end when told to; its memory is then never freed.
    """

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call
        self._child = greenlet(self._run)
        self._endings = 0
        self.returned: object = None
        self.is_stuck = False

    def reports(self) -> Generator[object, None, None]:
        """Yields the function's reports. Closing the generator ends the function at its last report."""
        self._child.gr_context = copy_context()
        message = self._resume()
        while not self._child.dead:
            try:
                yield message
            except GeneratorExit:
                self._end()
                raise
            message = self._resume()
        self.returned = message

    def report(self, metrics: object) -> None:
        """Passes metrics on and waits until the next ones are asked for. Called within the function.

        Args:
            metrics: what the function reports.

        Raises:
            TrainableError: if the function is not running, or runs in another thread.
            TrainingEnded: if the training is to end.
        """
        if self._child.dead:
            raise TrainableError("ctx.report() was called after the trainable had returned")
        if getcurrent() is not self._child:
            raise TrainableError(
                "ctx.report() was called in another thread than the trainable's; pass the metrics to the function's "
                "own thread, and report them there"
            )
        if not self._endings:
            self._parent.switch(metrics)  # raises TrainingEnded if the generator is closed meanwhile
            return
        self._endings += 1
        if self._endings > MAX_ENDINGS:
            self._parent.switch(None)
        raise TrainingEnded

    @property
    def _parent(self) -> greenlet:
        parent = self._child.parent
        assert parent is not None  # set before the function is resumed
        return parent

    def _resume(self) -> object:
        self._child.parent = getcurrent()
        return self._child.switch()

    def _end(self) -> None:
        self._endings = 1
        try:
            self._child.parent = getcurrent()
            with suppress(TrainingEnded):
                self._child.throw(TrainingEnded())
        finally:
            if not self._child.dead:
                self.is_stuck = True
                _stuck.append(self._child)

    def _run(self) -> object:
        returned = self._call()
        if not isinstance(returned, Iterator):
            return returned
        try:  # the function returned a generator, as a decorated generator function may
            for metrics in returned:
                self.report(metrics)
        finally:
            if isinstance(returned, Generator):
                returned.close()
        return None
