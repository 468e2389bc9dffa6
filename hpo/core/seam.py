"""The seam: what sources and backends say to each other. It knows neither of them.

A source hands out jobs and hears what became of them; a backend runs them. Workers import this module and nothing
of Optuna, SQLAlchemy or the studies.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Literal, Protocol, TypeVar, runtime_checkable

from hpo.core.arguments import refuse_no_kind, refuse_no_whole
from hpo.core.code import UNKNOWN, Code
from hpo.core.errors import BackendError, RetryLater, TooManyFailures
from hpo.core.records import LARGEST, Alert, Evaluation, Job, Objective, Report, Status, Value
from hpo.core.run_config import STOP_WAIT

Answer = TypeVar("Answer")


class Idle(Enum):
    """What a source answers when it has no job."""

    WAIT = "nothing now, ask again after the next evaluation"
    DONE = "nothing ever again"


Wait = Literal[Idle.WAIT]
Done = Literal[Idle.DONE]
WAIT: Wait = Idle.WAIT
DONE: Done = Idle.DONE


class JobSource(Protocol):
    """Hands out jobs and hears what became of them.

    Any call may raise `RetryLater`, as the database is away or the study paused: then nothing happened, and the backend
    says the same again later while its workers go on training.
    """

    def ask(self) -> Job | Wait | Done:
        """Returns the next job. `WAIT` is a fair answer only while a job is running."""

    def report(self, job: Job, step: int, value: float) -> bool:
        """Hears the objective's value at one step. False stops the job: it is pruned. Known steps are ignored."""

    def tell(self, evaluation: Evaluation) -> None:
        """Hears how a job ended."""


class Observer:
    """Looks on: it hears everything and decides nothing. Derive from it and say what is of interest."""

    def begins(self, total: int, done: int) -> None:
        """The work begins: how many jobs there are to be, and how many of them are over already."""

    def phase(self, message: str) -> None:
        """Something begins during which no job can be seen, e.g. `starting Ray`."""

    def advanced(self, message: str, done: int, total: int) -> None:
        """How far such a thing is, in words and in numbers."""
        self.phase(message)

    def asked(self, job: Job) -> None:
        """A job starts, or goes on after an interruption."""

    def reported(self, job: Job, step: int, value: float) -> None:
        """A job reached a step."""

    def alerted(self, job: Job, alerts: Sequence[Alert]) -> None:
        """Something was seen to go wrong at the step that a job just reached."""

    def told(self, evaluation: Evaluation) -> None:
        """A job ended."""


class Tell(Protocol):
    """What a trainable's module tells how far it is while it prepares data."""

    def __call__(self, message: str, done: int = 0, total: int = 0, /) -> None:
        """Hears it in words, and in numbers where there are some."""


@runtime_checkable
class Alerted(Protocol):
    """A source that hears at once what was seen to go wrong; any other finds it in the evaluation."""

    def alerted(self, job: Job, alerts: Sequence[Alert]) -> None:
        """Hears what was seen at the step that a job reported last."""


def pass_on(alerts: Sequence[Alert], job: Job, source: JobSource) -> None:
    """Tells a source what was seen to go wrong, if it wants to know."""
    if alerts and isinstance(source, Alerted):
        source.alerted(job, alerts)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainableRef:
    """Where a trainable is, so that no function is ever pickled.

    Attributes:
        path: `module:function`.
        root: folder that goes on the import path first.
        fixed: params that no trial changes.
        objective: which of its metrics counts.
        folds: into how many the data is divided where a job names a fold; 0: there are none.
        code: the files that it is made of, as the driver sees them; a worker that sees others trains nothing.
        defaults: of the params that are not set in every trial, as JSON values by name.
    """

    path: str
    root: str
    objective: Objective
    fixed: Mapping[str, Value] = field(default_factory=dict)
    folds: int = 0
    code: Code = UNKNOWN
    defaults: Mapping[str, object] = field(default_factory=dict)

    def known_of(self, job: Job) -> dict[str, object]:
        """Returns what is known of a training's fingerprint before it begins: its code, and the defaults that count."""
        defaults = {name: value for name, value in self.defaults.items() if name not in job.params}
        code = {"code": self.code.plain()} if self.code.digest else {}
        return {**code, **({"defaults": defaults} if defaults else {})}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What one training gets.

    Attributes:
        cpu: cores; also the number of threads, which is part of a result on a CPU.
        gpu: graphics cards; a fraction shares one.
        stop_wait: seconds that it may take to end its epoch after a stop, or two of its epochs where those are longer;
            then it is ended, and goes on from its last checkpoint next time.
        max_attempts: how often it is begun or resumed when what trains it dies, before it counts as failed.
        events: whether TensorBoard's event files are written in its folder.
    """

    cpu: int = 1
    gpu: float = 0.0
    max_attempts: int = 3
    events: bool = False
    stop_wait: float = STOP_WAIT

    def __post_init__(self) -> None:
        refuse_no_whole("cpu", self.cpu)
        refuse_no_kind("gpu", self.gpu, (int, float), "a number of GPUs")
        refuse_no_whole("max_attempts", self.max_attempts, 1)
        refuse_no_kind("stop_wait", self.stop_wait, (int, float), "a number of seconds")


class Stop(Protocol):
    """Asked between epochs: whether to end the work in order. A `threading.Event` is one."""

    def is_set(self) -> bool:
        """Whether to stop."""


@runtime_checkable
class EndsProcess(Protocol):
    """A stop of a process that is the command's own, so that it may be ended."""

    def end_process(self, why: str) -> None:
        """Says why and ends the process with all that it has started; does nothing where the process is another's."""


class Backend(Protocol):
    """Runs jobs until the source is done.

    Attributes:
        overdue: jobs of the last run whose training did not end its epoch in time after a stop, and was ended.
    """

    overdue: tuple[Job, ...]

    def run(self, source: JobSource, trainable: TrainableRef, resources: Resources, stop: Stop) -> None:
        """Asks, runs, reports and tells until the source is done or `stop` is set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """What a worker hands over: all reports since the last packet, and how the job stands.

    Attributes:
        reports: in step order; after a resume they begin again with the first.
        status: None while the job is running. Pruning is for the source to decide; a worker says pruned only where the
            trainable itself raised Optuna's `TrialPruned`.
        error: why it failed.
        paused: whether the worker has stopped between two epochs, with a checkpoint; it goes on in another run.
        outcome: with a final status, what else is known: seconds, digests, fingerprint, files, remarks.
        refusal: why the worker can train nothing at all of what the driver wants; None: it can.
    """

    reports: tuple[Report, ...] = ()
    status: Status | None = None
    error: str | None = None
    paused: bool = False
    outcome: Mapping[str, object] = field(default_factory=dict)
    refusal: str | None = None


@dataclass(slots=True)
class JobTracker:
    """One running job as the driver knows it: the one place where packets become verdicts.

    Reports are judged in step order up to the first refusal and the rest is dropped, also when the packet says
    complete, so that no outcome depends on how the clock cut the packets.

    Attributes:
        source: hears of the reports, and judges them.
        job: that is running.
        objective: which of the metrics counts.
        reports: that were heard.
        known: what is known of the training's fingerprint before its end.
    """

    source: JobSource
    job: Job
    objective: Objective
    reports: list[Report] = field(default_factory=list)
    known: Mapping[str, object] = field(default_factory=dict)

    def hear(self, packet: Packet) -> Evaluation | None:
        """Returns the evaluation if the job is over. The source has not been told of it yet.

        Raises:
            RetryLater: if the source cannot listen now; hear the same packet again later.
            BackendError: if the worker cannot train what the driver wants.
        """
        if packet.refusal is not None:
            raise BackendError(packet.refusal)
        for report in packet.reports:
            if self.reports and report.step <= self.reports[-1].step:
                continue  # said again after a resume
            value = self.objective.value(report)
            if not abs(value) <= LARGEST:  # the training's own gate lets none pass; no database would keep it
                return self.lost(f"the objective's value at step {report.step} is {value:g}, beyond ±{LARGEST:g}")
            goes_on = self.source.report(self.job, report.step, value)
            self.reports.append(report)  # after the source has heard it: the packet may have to be heard again
            pass_on(report.alerts, self.job, self.source)
            if not goes_on:  # what the worker did beyond the refusal does not count
                return self._evaluation(Status.PRUNED, Packet())
        if packet.status is None:
            return None
        return self._evaluation(packet.status, packet)

    def lost(self, reason: str) -> Evaluation:
        """Returns the evaluation of a job whose worker is gone for good."""
        return self._evaluation(Status.FAILED, Packet(status=Status.FAILED, error=reason))

    def _evaluation(self, status: Status, packet: Packet) -> Evaluation:
        reports = tuple(self.reports)
        evaluation = Evaluation(
            job=self.job,
            status=Status.FAILED,
            reports=reports,
            fingerprint=self.known,
            error=packet.error,
            seconds=reports[-1].at - reports[0].at if len(reports) > 1 else 0.0,
        )
        if status is Status.FAILED:
            return replace(evaluation, **packet.outcome)  # type: ignore[arg-type]  # fields by name, from our worker
        if not reports and status is Status.PRUNED:  # by the trainable itself, before it had a value
            return replace(evaluation, status=status, error=None, **packet.outcome)  # type: ignore[arg-type]  # see above
        if not reports:
            return replace(
                evaluation, error="the trainable ended without yielding any metrics; it must yield them once per epoch"
            )
        # A pruned trial's value is the one it was refused for, as Optuna has it; the best epoch counts only at the end.
        chosen = reports[-1] if status is Status.PRUNED else self.objective.select(reports)
        evaluation = replace(
            evaluation,
            status=status,
            value=self.objective.value(chosen),
            step=chosen.step,
            error=None,
        )
        return replace(evaluation, **packet.outcome)  # type: ignore[arg-type]  # fields by name, from our worker


class Observed:
    """A source with onlookers; they hear of an evaluation after the source has taken it."""

    def __init__(self, source: JobSource, observers: Iterable[Observer]) -> None:
        self._source = source
        self._observers = tuple(observers)

    def ask(self) -> Job | Wait | Done:
        answer = self._source.ask()
        if isinstance(answer, Job):
            for observer in self._observers:
                observer.asked(answer)
        return answer

    def report(self, job: Job, step: int, value: float) -> bool:
        verdict = self._source.report(job, step, value)
        for observer in self._observers:
            observer.reported(job, step, value)
        return verdict

    def alerted(self, job: Job, alerts: Sequence[Alert]) -> None:
        for observer in self._observers:
            observer.alerted(job, alerts)

    def tell(self, evaluation: Evaluation) -> None:
        self._source.tell(evaluation)
        for observer in self._observers:
            observer.told(evaluation)


class FailureLimit:
    """A source that gives up when one job after the other fails: what is wrong with them all is wrong with the next.

    Args:
        source: whose jobs.
        most: failures in a row that end the work.
    """

    def __init__(self, source: JobSource, most: int) -> None:
        self._source = source
        self._most = most
        self._failed: list[Evaluation] = []

    def ask(self) -> Job | Wait | Done:
        return self._source.ask()

    def report(self, job: Job, step: int, value: float) -> bool:
        return self._source.report(job, step, value)

    def alerted(self, job: Job, alerts: Sequence[Alert]) -> None:
        pass_on(alerts, job, self._source)

    def tell(self, evaluation: Evaluation) -> None:
        self._source.tell(evaluation)
        if evaluation.status is not Status.FAILED:
            self._failed.clear()
            return
        self._failed.append(evaluation)
        if len(self._failed) >= self._most:
            first = self._failed[0]
            raise TooManyFailures(
                f"{self._most} trainings in a row failed, so the search was ended. The first, of trial "
                f"{first.job.trial}, said:\n{first.error}\n"
                "What was running goes on next time, and what failed by one and the same error is trained again then. "
                "If such failures are to be expected, raise search.max_failures."
            )


def patiently(call: Callable[[], Answer], stop: Stop) -> Answer:
    """Returns what `call` returns, said again for as long as it is not to be had now.

    Raises:
        RetryLater: if that is still so when `stop` is set.
    """
    while True:
        try:
            return call()
        except RetryLater as later:
            if stop.is_set():
                raise
            time.sleep(later.seconds)


def refuse_endless_wait(running: int) -> None:
    """Raises where a source waits although nothing runs.

    Raises:
        BackendError: if no job is running.
    """
    if not running:
        raise BackendError("the source waits although no job is running: it would wait for ever")
