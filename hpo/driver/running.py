"""Which trainings run right now, as far as they have come."""

from __future__ import annotations

import threading

from hpo.core.protocols import Observer
from hpo.core.records import Evaluation, Job, JobKey
from hpo.store.running import RunningTraining


class RunningTrainings(Observer):
    """Follows the trainings of a driver; another thread may ask for them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[JobKey, RunningTraining] = {}

    def asked(self, job: Job) -> None:
        with self._lock:
            self._running[job.key] = RunningTraining.of(job)

    def reported(self, job: Job, step: int, value: float) -> None:
        with self._lock:
            self._running[job.key] = RunningTraining.of(job).at(step, value)

    def recorded(self, evaluation: Evaluation) -> None:
        self.told(evaluation)

    def told(self, evaluation: Evaluation) -> None:
        with self._lock:
            self._running.pop(evaluation.job.key, None)

    def now(self) -> tuple[RunningTraining, ...]:
        """Returns the trainings that run, in the order of their start."""
        with self._lock:
            return tuple(self._running.values())
