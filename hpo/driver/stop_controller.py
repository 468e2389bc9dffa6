"""Tells a driver when `hpo stop`, `hpo pause` or a signal has asked it to stop or pause."""

from __future__ import annotations

from collections.abc import Sequence

from hpo.core.arguments import require_method, require_type
from hpo.core.protocols import EndsProcess, Observer, Stop
from hpo.store import Lease


class StopController:
    """A `Stop` that is set by another `Stop` or by `hpo stop`; it tells the observers once, and of pauses too.

    Args:
        stop: another source of stops, such as a signal handler; None: only `hpo stop` can set this one.
        study: name of the study.
        observers: told when the driver is stopped, paused or resumed.

    Attributes:
        lease: reads from the database what the driver was asked to do; None until the study is driven.
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
        """Whether the driver is to stop."""
        if self._stop is not None and self._stop.is_set():
            return True
        if self.lease is None:
            return False
        if self.lease.stopping and not self._stopping:
            self._stopping = True
            self._tell("stopping because of hpo stop: running trainings finish their epoch and are checkpointed")
        if self.lease.paused != self._paused and not self._stopping:
            self._paused = self.lease.paused
            paused = f"paused: running trainings finish, no new one starts until: hpo resume --study {self._study}"
            self._tell(paused if self._paused else "resumed")
        return self._stopping

    def end_process(self, why: str) -> None:
        """Ends the process if the other `Stop` allows that; see `EndsProcess`."""
        if isinstance(self._stop, EndsProcess):
            self._stop.end_process(why)

    def _tell(self, message: str) -> None:
        for observer in self._observers:
            observer.phase(message)
