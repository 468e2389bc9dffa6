"""Lets a driver obey `hpo stop`, as it obeys a signal, and `hpo pause`."""

from __future__ import annotations

from collections.abc import Sequence

from hpo.core.arguments import require_method, require_type
from hpo.core.protocols import EndsProcess, Observer, Stop
from hpo.store import Lease


class StopController:
    """A stop that is set by another one, or by `hpo stop` from elsewhere; it says so once, and of pauses too.

    Args:
        stop: the other; None: there is none.
        study: name of the study.
        observers: told what was asked.

    Attributes:
        lease: knows what was asked of the driver; None until the study is driven.
    """

    def __init__(self, stop: Stop | None, study: str, observers: Sequence[Observer]) -> None:
        if stop is not None:
            require_method("stop", stop, "is_set", "something with is_set(), such as a threading.Event")
        require_type("observers", observers, (list, tuple), "a list of observers")
        for one in observers:
            require_method("one of observers", one, "phase", "an hpo.Observer")
        self._stop = stop
        self._study = study
        self._observers = observers
        self._paused = self._stopping = False
        self.lease: Lease | None = None

    def is_set(self) -> bool:
        """Whether to stop."""
        if self._stop is not None and self._stop.is_set():
            return True
        if self.lease is None:
            return False
        if self.lease.stopping and not self._stopping:
            self._stopping = True
            self._tell("stopping, as hpo stop asks: what runs ends its epoch and is checkpointed")
        if self.lease.paused != self._paused and not self._stopping:
            self._paused = self.lease.paused
            goes_on = f"paused: what runs goes to its end, nothing new begins until: hpo resume --study {self._study}"
            self._tell(goes_on if self._paused else "resumed")
        return self._stopping

    def end_process(self, why: str) -> None:
        """Ends the process where the other stop says that it may be ended; see `EndsProcess`."""
        if isinstance(self._stop, EndsProcess):
            self._stop.end_process(why)

    def _tell(self, message: str) -> None:
        for observer in self._observers:
            observer.phase(message)
