"""The interruption of a training in this process: after a stop and its grace period, or at a limit."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from hpo.backends.limits import Usage
from hpo.core.protocols import EndsProcess, Stop
from hpo.core.records import Job

POLL_SECONDS = 0.5
"""Seconds between two checks for a stop."""

INTERRUPTS = 5
"""How often a training is interrupted, one second apart, before its process is ended."""


@dataclass(slots=True)
class Pace:
    """The pace of a training's reports, as its driver sees it.

    Attributes:
        longest: longest time between two reports so far, in seconds.
        since: monotonic time of the last report, or of the start.
    """

    longest: float = 0.0
    since: float = field(default_factory=time.monotonic)

    def reported(self) -> None:
        """Records the time of a report."""
        now = time.monotonic()
        self.longest, self.since = max(self.longest, now - self.since), now

    def grace(self, least: float) -> float:
        """Returns the grace period after a stop in seconds: `least`, or two of its epochs."""
        return max(least, 2 * self.longest)


class Watch:
    """Interrupts a training of this process that exceeds a limit, or does not finish its epoch in time after a stop.

    It raises a KeyboardInterrupt in the training, like Ctrl-C. A training that ignores it can only be ended with its
    process, which happens if the process belongs to the command.

    Args:
        job: the job that is trained.
        stop: tells whether to stop.
        grace: returns the grace period in seconds.
        usage: measures the training against its limits.
        note: stores the reason of a training that exceeds a limit and ignores the interrupt.

    Attributes:
        overdue: whether the training was interrupted.
        exceeded: the reason if that was because of a limit.
    """

    def __init__(
        self, job: Job, stop: Stop, grace: Callable[[], float], usage: Usage, note: Callable[[str], object]
    ) -> None:
        self.overdue = False
        self.exceeded: str | None = None
        self._usage = usage
        self._note = note
        self._job = job
        self._stop = stop
        self._grace = grace
        self._over = threading.Event()
        self._interrupting = False
        self._inside = False

    @contextmanager
    def watching(self) -> Iterator[Watch]:
        """Watches the block, in the main thread only: Python delivers signals to no other."""
        before = signal.getsignal(signal.SIGINT)
        if not can_interrupt():
            yield self
            return

        def handler(number: int, frame: FrameType | None) -> None:
            if not self._interrupting:
                if callable(before):
                    before(number, frame)
                elif before == signal.SIG_DFL:
                    signal.signal(number, before)
                    signal.raise_signal(number)
                return  # SIG_IGN: a shell starts its background jobs so
            self._interrupting = False
            if self.exceeded is not None and imports(frame):
                return  # other trainings follow in this process, and need the library whole
            if self._inside:  # otherwise it has just ended
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
        """Marks the block as training code, which may be interrupted.

        Raises:
            KeyboardInterrupt: if it was interrupted, even if the training caught the exception.
        """
        self._usage.enter()
        self._inside = True
        try:
            yield
        finally:
            self._inside = False
            self._usage.leave()
        if self.overdue:
            raise KeyboardInterrupt

    def _watch(self, thread: int) -> None:
        reason = self._awaited()
        if reason is None:
            return
        sent = 0
        while True:
            if self._inside:  # otherwise it waits for the database, and is interrupted when it goes on
                self._interrupting = True
                signal.pthread_kill(thread, signal.SIGINT)
                sent += 1
            if self._over.wait(1.0):
                return
            if sent == INTERRUPTS and self._inside and isinstance(self._stop, EndsProcess):
                if self.exceeded is not None:
                    self._note(self.exceeded)
                self._stop.end_process(f"{reason}; it ignores the interrupt, so this process ends")

    def _awaited(self) -> str | None:
        """Waits until the training is to be interrupted and returns the reason; None if it ended before."""
        while not self._over.wait(POLL_SECONDS):
            if self._stop.is_set():
                break
            kind = self._usage.exceeded() if self._inside else None
            if kind is not None:
                self.exceeded = self._usage.resources.describe_exceeded(kind)
                return f"trial {self._job.trial} seed {self._job.seed_text}: {self.exceeded}"
        since = time.monotonic()
        while time.monotonic() - since < self._grace():
            if self._over.wait(POLL_SECONDS):
                return None
        return describe_overdue(self._job)


def imports(frame: FrameType | None) -> bool:
    """Whether a module is being imported.

    Args:
        frame: where the thread is.
    """
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def can_interrupt() -> bool:
    """Whether a training can be interrupted here: in the main thread, where Python handles SIGINT."""
    return signal.getsignal(signal.SIGINT) is not None and threading.current_thread() is threading.main_thread()


def describe_overdue(job: Job) -> str:
    """Returns the message for a training that did not finish its epoch in time."""
    return (
        f"trial {job.trial} seed {job.seed_text} did not finish its epoch in time after the stop and was interrupted; "
        "it will resume from its last checkpoint (--stop-wait gives it more time)"
    )
