"""Around a source: who looks on, when too many trainings fail, and asking again later."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from hpo.core.errors import BackendError, RetryLater, TooManyFailures
from hpo.core.protocols import Decision, Done, JobSource, Observer, Stop, Wait, pass_on
from hpo.core.records import Alert, Evaluation, Job, Status

Answer = TypeVar("Answer")


class SourceWrapper:
    """Stands between a source and a backend and passes everything on; derive from it and change what is to differ.

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
        pass_on(alerts, job, self._source)

    def tell(self, evaluation: Evaluation) -> None:
        self._source.tell(evaluation)


class ObservedSource(SourceWrapper):
    """A source with observers; they are told of an evaluation after the source.

    Args:
        source: the source that hands out the jobs.
        observers: told of every job, intermediate value, alert and evaluation, in this order.
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
    """A source that gives up when too many trainings in a row fail: their common cause would fail the next one too.

    Args:
        source: the source that hands out the jobs.
        most: failures in a row that end the work.
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
                f"{first.job.trial}, said:\n{first.error}\n"
                "What was running goes on next time, and what failed by one and the same error is trained again then. "
                "If such failures are to be expected, raise search.max_failures."
            )


def with_retries(call: Callable[[], Answer], stop: Stop) -> Answer:
    """Returns what `call` returns; calls again for as long as it raises `RetryLater`.

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
        raise BackendError("the source waits although no job is running: it would wait without end")


def tell_phase(observers: Iterable[Observer], message: str) -> None:
    """Tells all observers what begins.

    Args:
        observers: told in this order.
        message: what begins, e.g. `starting Ray`.
    """
    for observer in observers:
        observer.phase(message)
