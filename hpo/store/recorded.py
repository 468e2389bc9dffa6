"""A source whose evaluations are stored before it is told of them, and whose jobs are never trained twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from hpo.core.code import UNKNOWN, Code
from hpo.core.protocols import Done, JobSource, Observer, Wait
from hpo.core.records import Evaluation, Job, Stage, Status
from hpo.core.wrappers import ObservedSource
from hpo.store.lease import Lease
from hpo.store.retrying import RETRY
from hpo.store.store import Store, StoredStudy


class RecordedSource(ObservedSource):
    """Stores each evaluation before the source is told of it, and answers from the records what was trained before.

    A job that has an evaluation already is answered from the records and never reaches the backend: it was trained
    before a crash that came before the source was told, or by an earlier promotion.

    Args:
        source: hands out the jobs.
        store: where evaluations go.
        study: the study that the evaluations belong to.
        lease: the driver's right to write.
        same: says, of a trial, which other one's evaluations are its own too; None: no other's are.
        code: the code that is trained with; a record that is known to be of other code answers nothing.
        metric: of the objective: the values of an identical trial are reported step by step.

    Attributes:
        trained: how many trainings have ended since; what was answered from the records is not among them.
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
    ) -> None:
        super().__init__(source, observers)
        self._store = store
        self._study = study
        self._lease = lease
        self._same = same
        self._metric = metric
        self._code = code
        self._known = store.keys(study)
        # What is half done when the database goes away; it goes on when the same call comes again.
        self._asked: Job | None = None
        self._put: Evaluation | None = None
        self._told: tuple[Evaluation, Evaluation] | None = None
        self.trained = 0

    def ask(self) -> Job | Wait | Done:
        self._lease.refuse_if_known_lost()
        self._lease.hold_if_paused()
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
            self._asked = None
            for observer in self._observers:
                if evaluation is None:
                    observer.asked(job)
                else:
                    observer.recorded(evaluation)
            if evaluation is None:
                return job

    def tell(self, evaluation: Evaluation) -> None:
        whole = self._keep(evaluation)
        self.trained += 1
        for observer in self._observers:
            observer.told(whole)

    def _keep(self, evaluation: Evaluation) -> Evaluation:
        """Stores an evaluation, then tells the source of it; returns it as it is stored."""
        if (
            self._told is None or self._told[0] is not evaluation
        ):  # else it is told again, because the database was away
            self._told = evaluation, self._remarked(evaluation)
        whole = self._told[1]
        if self._put is not whole:
            self._store.put(self._study, whole, self._lease)
            self._put = whole
        self._known.add(whole.job.key)
        self._source.tell(whole)
        return whole

    def _remarked(self, evaluation: Evaluation) -> Evaluation:
        """Returns an evaluation with a word on the one that it replaces, where that is of other code."""
        before = self._store.get(self._study, evaluation.job) if evaluation.job.key in self._known else None
        if before is None or not before.code.differs(evaluation.code):
            return evaluation
        value = "no value" if before.value is None else f"value {before.value!r}"
        remark = f"trained anew, for the code was changed ({before.code.changes(evaluation.code)}); it had {value}"
        return replace(evaluation, remarks=(*evaluation.remarks, remark))

    def known(self, jobs: Iterable[Job]) -> int:
        """Returns how many of the jobs have an evaluation already."""
        return sum(self._recorded(job) is not None for job in jobs)

    def _of_identical_trial(self, job: Job) -> Evaluation | None:
        """Returns the evaluation of another trial that is the same training, as one of this trial."""
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
        # A replicate that failed is tried again: the source asks for it only if it wants that.
        if evaluation is not None and evaluation.status is Status.FAILED and job.stage is not Stage.SEARCH:
            return None
        if evaluation is not None and RETRY in evaluation.remarks:
            return None
        return evaluation
