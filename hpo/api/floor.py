"""Where jobs of any source are trained, once the study is open."""

from __future__ import annotations

from dataclasses import dataclass

from hpo.api.session import Opened, Workforce, make_backend, ready, resources, work_folder
from hpo.place import Place
from hpo.records import Evaluation, Job
from hpo.seam import Done, Observed, Observer, Source, Stop, Wait, patiently
from hpo.study import Study


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """Where and under whose eyes jobs are trained.

    Attributes:
        place: where the study is kept and run.
        workforce: keeps the backend running afterwards; None: nobody does.
        observers: hear of every job, report and evaluation.
        stop: ends the work in order when it is set.
    """

    place: Place
    workforce: Workforce | None
    observers: tuple[Observer, ...]
    stop: Stop


class Counter:
    """An onlooker that counts what was trained."""

    def __init__(self) -> None:
        self.trained = 0

    def begins(self, total: int, done: int) -> None: ...

    def phase(self, message: str) -> None: ...

    def asked(self, job: Job) -> None: ...

    def reported(self, job: Job, step: int, value: float) -> None: ...

    def told(self, evaluation: Evaluation) -> None:
        self.trained += 1


class _GivenBack:
    """A source whose first job was asked for already."""

    def __init__(self, first: Job, source: Source) -> None:
        self._first: Job | None = first
        self._source = source
        self.report, self.tell = source.report, source.tell

    def ask(self) -> Job | Wait | Done:
        first, self._first = self._first, None
        return self._source.ask() if first is None else first


def train(source: Source, found: Opened, study: Study, floor: Floor) -> None:
    """Trains what a source asks for; no backend is started where all is answered from the records."""
    first = patiently(source.ask, floor.stop)
    if not isinstance(first, Job):  # all was answered from the records, so no backend has to be started
        return
    source = _GivenBack(first, source)
    with ready(study, floor.place, floor.workforce, floor.observers) as slots:
        backend = make_backend(work_folder(found.stored, floor.place), floor.place, slots)
        backend.run(Observed(source, floor.observers), study.ref, resources(study, floor.place), floor.stop)
