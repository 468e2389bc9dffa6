"""Wrappers around a source: observers, the failure limit, and retries."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from hpo.core.errors import BackendError, RetryLater, TooManyFailures
from hpo.core.protocols import Decision, Done, JobSource, Observer, Stop, Wait, forward_alerts
from hpo.core.records import Alert, Evaluation, Job, Status

Answer = TypeVar("Answer")


class SourceWrapper:
    """Forwards all calls between a source and a backend; derive from it and override what should differ.

    Args:
        source: the source that hands out the jobs.
    """

    def __init__(self, source: JobSource) -> None:
        self._source = source

    def ask(self) -> Job | Wait | Done:
        return self._source.ask()

    def report(self, job: Job, step: int, value: float) -> Decision:
        return self._source.report(job, step, value)

    def alerted(self, job: Job, alerts: Sequence[Alert]) -> None:
        forward_alerts(alerts, job, self._source)

    def tell(self, evaluation: Evaluation) -> None:
        self._source.tell(evaluation)


class ObservedSource(SourceWrapper):
    """A source with observers; they are notified after the source.

    Args:
        source: the source that hands out the jobs.
        observers: notified of every job, intermediate value, alert and evaluation.
    """

    def __init__(self, source: JobSource, observers: Iterable[Observer]) -> None:
        super().__init__(source)
        self._observers = tuple(observers)

    def ask(self) -> Job | Wait | Done:
        answer = self._source.ask()
        if isinstance(answer, Job):
            for observer in self._observers:
                observer.asked(answer)
        return answer

    def report(self, job: Job, step: int, value: float) -> Decision:
        decision = self._source.report(job, step, value)
        for observer in self._observers:
            observer.reported(job, step, value)
        return decision

    def alerted(self, job: Job, alerts: Sequence[Alert]) -> None:
        for observer in self._observers:
            observer.alerted(job, alerts)

    def tell(self, evaluation: Evaluation) -> None:
        self._source.tell(evaluation)
        for observer in self._observers:
            observer.told(evaluation)


class FailureLimit(SourceWrapper):
    """Ends the work if too many trainings in a row fail, because their cause would probably fail the next one too.

    Args:
        source: the source that hands out the jobs.
        most: number of failures in a row that end the work.
    """

    def __init__(self, source: JobSource, most: int) -> None:
        super().__init__(source)
        self._most = most
        self._failed: list[Evaluation] = []

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
                f"{first.job.trial}, failed with:\n{first.error}\n"
                "The next run continues trainings that were running, and repeats those that failed with the same "
                "error. If such failures are expected, raise search.max_failures."
            )


class WithFirstJob(SourceWrapper):
    """Wraps a source whose first job was asked for already.

    Args:
        first: that job, which is handed out first.
        source: the source that hands out the jobs.
    """

    def __init__(self, first: Job, source: JobSource) -> None:
        super().__init__(source)
        self._first: Job | None = first

    def ask(self) -> Job | Wait | Done:
        first, self._first = self._first, None
        return super().ask() if first is None else first


def with_retries(call: Callable[[], Answer], stop: Stop) -> Answer:
    """Returns the result of `call`; repeats it as long as it raises `RetryLater`.

    Raises:
        RetryLater: if it still does so when `stop` is set.
    """
    while True:
        try:
            return call()
        except RetryLater as later:
            if stop.is_set():
                raise
            time.sleep(later.seconds)


def check_not_stuck(running: int) -> None:
    """Checks that a source waits only while a job is running.

    Raises:
        BackendError: if no job is running.
    """
    if not running:
        raise BackendError("the source waits although no job is running: it would wait forever")


def tell_phase(observers: Iterable[Observer], message: str) -> None:
    """Notifies all observers of a new phase.

    Args:
        observers: the observers to notify.
        message: name of the phase, e.g. `starting Ray`.
    """
    for observer in observers:
        observer.phase(message)
