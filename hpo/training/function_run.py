"""Runs a function that reports as a generator of what it reports, so that both forms of a trainable are trained alike.

The function runs in a greenlet: on the same OS thread, with a stack of its own. `ctx.report`, called from anywhere
below the function, hands the metrics to whoever advances the generator, and returns when the next ones are wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from contextvars import copy_context

from greenlet import getcurrent, greenlet

from hpo.core.errors import TrainableError

MOST_ENDINGS = 10
"""How often `Ended` is raised in a function that goes on reporting."""

_stuck: list[greenlet] = []
"""Functions that would not end. They are never resumed: if one were deleted, its code would run at any time."""


class Ended(BaseException):
    """Raised by `ctx.report` where nobody wants more of a training: it is pruned, has failed, or is interrupted.

    No Exception, so that user code that handles its own errors does not catch it by mistake. `finally` blocks run.
    """


class FunctionRun:
    """One call of a function that reports.

    Args:
        call: calls the function.

    Attributes:
        returned: what the function returned; None until then.
        is_stuck: whether the function went on when it was to end; it stays where it is, and so does its memory.
    """

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call
        self._child = greenlet(self._run)
        self._endings = 0
        self.returned: object = None
        self.is_stuck = False

    def reports(self) -> Generator[object, None, None]:
        """Yields what the function reports. To close the generator ends the function at its last report."""
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
        """Hands over metrics and waits until the next ones are wanted. Called from below the function.

        Args:
            metrics: what the function reports.

        Raises:
            TrainableError: if the function does not run, or this is another thread than its own.
            Ended: if nobody wants more.
        """
        if self._child.dead:
            raise TrainableError("ctx.report() was called after the trainable had returned")
        if getcurrent() is not self._child:
            raise TrainableError(
                "ctx.report() was called in another thread than the trainable's; hand the metrics to the function's "
                "own thread, and report them there"
            )
        if not self._endings:
            self._parent.switch(metrics)  # raises Ended where the generator is closed meanwhile
            return
        self._endings += 1
        if self._endings > MOST_ENDINGS:
            self._parent.switch(None)
        raise Ended

    @property
    def _parent(self) -> greenlet:
        parent = self._child.parent
        assert parent is not None  # it was set before the function was resumed
        return parent

    def _resume(self) -> object:
        self._child.parent = getcurrent()
        return self._child.switch()

    def _end(self) -> None:
        self._endings = 1
        try:
            self._child.parent = getcurrent()
            with suppress(Ended):
                self._child.throw(Ended())
        finally:
            if not self._child.dead:
                self.is_stuck = True
                _stuck.append(self._child)

    def _run(self) -> object:
        returned = self._call()
        if not isinstance(returned, Iterator):
            return returned
        try:  # the function made a generator, as one that is wrapped by a decorator does
            for metrics in returned:
                self.report(metrics)
        finally:
            if isinstance(returned, Generator):
                returned.close()
        return None
