"""Where the jobs of known trials are trained, and under whose eyes."""

from __future__ import annotations

from dataclasses import dataclass

from hpo.backends.running import run_all
from hpo.core.errors import StudyHeld, UsageError
from hpo.core.protocols import Done, JobSource, Observer, Stop, Wait
from hpo.core.records import Evaluation, Job
from hpo.core.run_config import RunConfig
from hpo.core.wrappers import Observed, SourceWrapper, patiently
from hpo.driver.placing import resources, work_folder
from hpo.driver.session import Opened, Workforce, make_backend, ready, tell_of_events, trainable_of
from hpo.study import Study, Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """Where and under whose eyes jobs are trained."""

    config: RunConfig
    workforce: Workforce | None
    observers: tuple[Observer, ...]
    stop: Stop


class Counter(Observer):
    """An onlooker that counts what was trained."""

    def __init__(self) -> None:
        self.trained = 0

    def told(self, evaluation: Evaluation) -> None:
        self.trained += 1


class _GivenBack(SourceWrapper):
    """A source whose first job was asked for already."""

    def __init__(self, first: Job, source: JobSource) -> None:
        super().__init__(source)
        self._first: Job | None = first

    def ask(self) -> Job | Wait | Done:
        first, self._first = self._first, None
        return super().ask() if first is None else first


def train(source: JobSource, found: Opened, study: Study, floor: RunContext) -> None:
    """Trains a source's jobs; where all are answered from the records no backend is started."""
    try:
        first = patiently(source.ask, floor.stop)
    except StudyHeld:  # stopped while it was paused
        return
    if not isinstance(first, Job):
        return
    source = _GivenBack(first, source)
    tell_of_events(found.stored, floor.config, floor.observers)
    with ready(study, floor.config, floor.workforce, floor.observers) as slots:
        backend = make_backend(work_folder(found.stored, floor.config), floor.config, slots)
        heard = Observed(source, floor.observers)
        run_all(backend, heard, trainable_of(study), resources(study, floor.config), floor.stop, floor.observers)


def trial_named(found: Opened, study: Study, number: int) -> Trial:
    """Returns a trial that can be trained again.

    Raises:
        UsageError: if there is no such trial, or it has no params yet.
    """
    trials = found.durable.trials()
    if not 0 <= number < len(trials):
        there = f"trials 0 .. {len(trials) - 1}" if trials else "no trials"
        raise UsageError(f"study {study.name!r} has {there}, not {number}; see them: hpo status --study {study.name}")
    trial = trials[number]
    if trial.state in {"running", "waiting"}:
        raise UsageError(
            f"trial {number} of study {study.name!r} is {trial.state}; finish the search first: "
            f"hpo run --study {study.name}"
        )
    return trial
