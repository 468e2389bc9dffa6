"""How long a training may go on after a stop, and who ends it then."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from hpo.core.protocols import EndsProcess, Stop
from hpo.core.records import Job

POLL_SECONDS = 0.5
"""How often it is looked whether to stop."""

INTERRUPTS = 5
"""How often a training is interrupted, a second apart, before its process is ended."""


@dataclass(slots=True)
class Pace:
    """How fast a training gets on, as its driver sees it.

    Attributes:
        longest: seconds between two of its reports, at most so far.
        since: when the last one came, or the training began, by the monotonic clock.
    """

    longest: float = 0.0
    since: float = field(default_factory=time.monotonic)

    def reported(self) -> None:
        """Notes that a report has come."""
        now = time.monotonic()
        self.longest, self.since = max(self.longest, now - self.since), now

    def grace(self, least: float) -> float:
        """Returns for how many seconds after a stop the training may go on: so many, or two of its epochs."""
        return max(least, 2 * self.longest)


class Watch:
    """Interrupts a training of this process that does not end its epoch in time after a stop.

    It raises a KeyboardInterrupt in the training, as Ctrl-C would. A training that ignores it can only be ended
    with its process, which is done where the stop says that the process is the command's own.

    Args:
        job: that is trained.
        stop: whether to stop.
        grace: for how many seconds the training may go on then.

    Attributes:
        overdue: whether the training was interrupted.
    """

    def __init__(self, job: Job, stop: Stop, grace: Callable[[], float]) -> None:
        self.overdue = False
        self._job = job
        self._stop = stop
        self._grace = grace
        self._over = threading.Event()
        self._interrupting = False
        self._inside = False

    @contextmanager
    def watching(self) -> Iterator[Watch]:
        """Watches until the block ends, in the main thread; to another one Python delivers no signal."""
        before = signal.getsignal(signal.SIGINT)
        if not callable(before) or threading.current_thread() is not threading.main_thread():
            yield self
            return

        def handler(number: int, frame: FrameType | None) -> None:
            if not self._interrupting:
                before(number, frame)
                return
            self._interrupting = False
            if self._inside:  # else it has ended meanwhile
                self.overdue = True
                raise KeyboardInterrupt

        signal.signal(signal.SIGINT, handler)
        thread = threading.Thread(target=self._watch, args=(threading.get_ident(),), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            thread.join()
            if signal.getsignal(signal.SIGINT) is handler:
                signal.signal(signal.SIGINT, before)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Says that what runs in the block is the training's, and may be interrupted.

        Raises:
            KeyboardInterrupt: if it was, whatever the training made of that.
        """
        self._inside = True
        try:
            yield
        finally:
            self._inside = False
        if self.overdue:
            raise KeyboardInterrupt

    def _watch(self, thread: int) -> None:
        while True:
            if self._over.wait(POLL_SECONDS):
                return
            if self._stop.is_set():
                break
        since = time.monotonic()
        while time.monotonic() - since < self._grace():
            if self._over.wait(POLL_SECONDS):
                return
        for _ in range(INTERRUPTS):
            if self._inside:
                self._interrupting = True
                signal.pthread_kill(thread, signal.SIGINT)
            if self._over.wait(1.0):
                return
        if self._inside and isinstance(self._stop, EndsProcess):
            self._stop.end_process(f"{describe_overdue(self._job)}; it ignores the interrupt, so this process ends")


def describe_overdue(job: Job) -> str:
    """Returns that a training did not end its epoch in time, in words."""
    return (
        f"trial {job.trial} seed {job.seed_text} did not end its epoch in time after the stop and was ended; "
        "it goes on from its last checkpoint (--stop-wait gives it more time)"
    )
