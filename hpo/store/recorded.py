"""A source wrapper that stores each evaluation before the source sees it, and never trains a job twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from hpo.core.code import UNKNOWN, Code
from hpo.core.costs import Cost
from hpo.core.protocols import Done, JobSource, Observer, Wait
from hpo.core.records import Evaluation, Job, Stage, Status
from hpo.core.wrappers import ObservedSource
from hpo.store.lease import Lease
from hpo.store.retrying import RETRY
from hpo.store.store import Store, StoredStudy


class Meter(Protocol):
    """Measures what trainings use, and says whether one more may begin."""

    def refusal(self, job: Job) -> Wait | Done | None:
        """Returns the answer to give in the place of a job that may not begin now; None: it may."""

    def costs_of(self, evaluation: Evaluation) -> Sequence[Cost]:
        """Returns what the training that just ended has used."""


class RecordedSource(ObservedSource):
    """Stores each evaluation before the source is told, and answers jobs that were trained before from the database.

    A job that already has an evaluation never reaches the backend: an earlier promotion trained it, or the driver
    crashed before it told the source.

    Args:
        source: the source of the jobs.
        store: stores the evaluations.
        study: the study that the evaluations belong to.
        lease: the driver's right to write.
        same: returns the identical trial of a trial, whose evaluations it shares; None: no trial has one.
        metric: the objective's metric; values of an identical trial are reported step by step.
        code: the current code; an evaluation of other code is not reused.
        observers: told of each job, and of each evaluation, trained or reused.
        meter: measures trainings and may refuse one; None: none is measured or refused.

    Attributes:
        trained: number of trainings that have ended so far, without reused evaluations.
    """

    def __init__(
        self,
        source: JobSource,
        store: Store,
        study: StoredStudy,
        lease: Lease,
        same: Callable[[int], int | None] | None = None,
        metric: str = "",
        code: Code = UNKNOWN,
        observers: Iterable[Observer] = (),
        meter: Meter | None = None,
    ) -> None:
        super().__init__(source, observers)
        self._store = store
        self._study = study
        self._lease = lease
        self._same = same
        self._metric = metric
        self._code = code
        self._meter = meter
        self._known = store.keys(study)
        # Work that an outage interrupted; it continues when the same call is repeated.
        self._asked: Job | None = None
        self._put: Evaluation | None = None
        self._told: tuple[Evaluation, Evaluation] | None = None
        self.trained = 0

    def ask(self) -> Job | Wait | Done:
        self._lease.check_not_known_lost()
        self._lease.check_pause()
        while True:
            if self._asked is None:
                answer = self._source.ask()
                if not isinstance(answer, Job):
                    return answer
                self._asked = answer
            job, evaluation = self._asked, self._recorded(self._asked)
            if evaluation is not None:
                self._source.tell(evaluation)
            elif (evaluation := self._of_identical_trial(job)) is not None:
                for report in evaluation.reports:
                    if (value := report.metrics.get(self._metric)) is not None:
                        self._source.report(job, report.step, value)
                self._keep(evaluation)
            elif self._meter is not None and (refusal := self._meter.refusal(job)) is not None:
                return refusal  # the job is kept for the next call
            self._asked = None
            for observer in self._observers:
                if evaluation is None:
                    observer.asked(job)
                else:
                    observer.recorded(evaluation)
            if evaluation is None:
                return job

    def tell(self, evaluation: Evaluation) -> None:
        whole = self._keep(evaluation, () if self._meter is None else self._meter.costs_of(evaluation))
        self.trained += 1
        for observer in self._observers:
            observer.told(whole)

    def _keep(self, evaluation: Evaluation, costs: Sequence[Cost] = ()) -> Evaluation:
        """Stores an evaluation, then tells the source; returns the stored evaluation."""
        # Otherwise the call is repeated after an outage.
        if self._told is None or self._told[0] is not evaluation:
            self._told = evaluation, self._remarked(evaluation)
        whole = self._told[1]
        if self._put is not whole:
            self._store.put(self._study, whole, self._lease, costs)
            self._put = whole
        self._known.add(whole.job.key)
        self._source.tell(whole)
        return whole

    def _remarked(self, evaluation: Evaluation) -> Evaluation:
        """Adds a remark if the evaluation replaces one of other code."""
        before = self._store.get(self._study, evaluation.job) if evaluation.job.key in self._known else None
        if before is None or not before.code.differs(evaluation.code):
            return evaluation
        value = "no value" if before.value is None else f"value {before.value!r}"
        remark = (
            f"trained again because the code changed ({before.code.changes(evaluation.code)}); the old one had {value}"
        )
        return replace(evaluation, remarks=(*evaluation.remarks, remark))

    def known(self, jobs: Iterable[Job]) -> int:
        """Returns how many of the jobs already have an evaluation."""
        return sum(self._recorded(job) is not None for job in jobs)

    def _of_identical_trial(self, job: Job) -> Evaluation | None:
        """Returns the evaluation of an identical trial, as one of this trial."""
        trial = None if self._same is None else self._same(job.trial)
        like = None if trial is None else self._recorded(replace(job, trial=trial))
        if like is None or like.status is Status.FAILED:
            return None
        return replace(like, job=job, seconds=0.0, remarks=(f"recorded: trial {trial} is the same training",))

    def _recorded(self, job: Job) -> Evaluation | None:
        if job.key not in self._known:
            return None
        evaluation = self._store.get(self._study, job)
        if evaluation is not None and self._code.differs(evaluation.code):
            return None
        # A failed replicate is trained again: its source asks for it only on purpose.
        if evaluation is not None and evaluation.status is Status.FAILED and job.stage is not Stage.SEARCH:
            return None
        if evaluation is not None and RETRY in evaluation.remarks:
            return None
        return evaluation
