"""Measures a training that has limits, in the process that trains it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psutil

from hpo.core.limits import memory_of
from hpo.core.protocols import Resources

POLL_SECONDS = 1.0
"""Seconds between two measurements."""

TELL_SECONDS = 5.0
"""How long it may take to tell why a process ends, e.g. at a URL whose server is slow."""


class Usage:
    """What a training uses: the time inside its code in this process, and the memory that it adds to the process.

    Args:
        resources: the limits of one training.

    Attributes:
        resources: the same limits.
    """

    def __init__(self, resources: Resources) -> None:
        self.resources = resources
        self._spent = 0.0
        self._entered: float | None = None
        self._before = memory_in_use() if resources.memory is not None else 0

    def enter(self) -> None:
        """Starts the clock: the code of the training runs."""
        self._entered = time.monotonic()

    def leave(self) -> None:
        """Stops the clock: what waits for the driver or the database is not the training."""
        self._spent, self._entered = self.seconds, None

    @property
    def seconds(self) -> float:
        """How long the training has run in this process."""
        entered = self._entered
        return self._spent + (time.monotonic() - entered if entered is not None else 0.0)

    def exceeded(self) -> str | None:
        """Returns which limit the training exceeds, `time` or `memory`; None if it is within its limits."""
        limit, added = self.resources.memory, 0
        if limit is not None and memory_in_use(exact=False) > memory_of(limit):  # else what was added is less too
            added = memory_in_use() - self._before
        return self.resources.exceeded(self.seconds, added)


class Watchdog:
    """A thread that ends this process with its children when the training in it exceeds a limit.

    Args:
        resources: the limits of one training.
        tell: called with the limit, `time` or `memory`, before the process ends.
    """

    def __init__(self, resources: Resources, tell: Callable[[str], object]) -> None:
        self._usage = Usage(resources)
        self._tell = tell
        self._lock = threading.Lock()  # held while the process is ended, so that no other training gets into it
        self._inside = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Marks the block as code of the training."""
        self._usage.enter()
        self._inside = True
        try:
            yield
        finally:
            with self._lock:
                self._inside = False
                self._usage.leave()

    def stop(self) -> None:
        """Ends the thread."""
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(POLL_SECONDS):
            with self._lock:
                kind = self._usage.exceeded() if self._inside else None
                if kind is not None:
                    telling = threading.Thread(target=self._tell, args=(kind,), daemon=True)
                    telling.start()
                    telling.join(TELL_SECONDS)
                    end_this_process()


def memory_in_use(*, exact: bool = True) -> int:
    """Returns the resident memory of this process and its children in bytes.

    Args:
        exact: whether memory that they share counts once, where the system knows it; this takes longer.
    """
    used = 0
    for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
        with suppress(psutil.Error):  # it has just ended
            shared = 0
            if exact:
                with suppress(psutil.AccessDenied):
                    shared = getattr(process.memory_full_info(), "pss", 0)
            used += shared or process.memory_info().rss
    return used


def end_this_process() -> None:
    """Kills this process and its children, and the process groups that they lead or belong to."""
    own = os.getpgrp()
    with suppress(psutil.Error):
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.Error, OSError):
                group = os.getpgid(child.pid)
                if group == own:
                    child.kill()
                else:  # a program of [command], with what it has started
                    os.killpg(group, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
