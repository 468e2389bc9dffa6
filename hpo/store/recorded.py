"""A source whose evaluations are stored before it hears of them, and whose jobs are never trained twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from hpo.alerts import Alert
from hpo.records import Evaluation, Job, Stage, Status
from hpo.seam import Done, Source, Wait, pass_on
from hpo.store.lease import Lease
from hpo.store.store import Store, StoredStudy


class Recorded:
    """Stands between a source and a backend.

    A job that has an evaluation already is answered from the records and never reaches the backend: it was trained
    before a crash that came before the source was told, or by an earlier promotion.

    Args:
        source: whose jobs.
        store: where evaluations go.
        study: whose.
        lease: the driver's right to write.
        same: says, of a trial, which other one's evaluations are its own too; None: no other's are.
        metric: of the objective, for an evaluation that comes from another trial is heard step by step.
    """

    def __init__(
        self,
        source: Source,
        store: Store,
        study: StoredStudy,
        lease: Lease,
        same: Callable[[int], int | None] | None = None,
        metric: str = "",
    ) -> None:
        self._source = source
        self._store = store
        self._study = study
        self._lease = lease
        self._same = same
        self._metric = metric
        self._known = store.keys(study)
        # What is half done when the database goes away; it is gone on with when the same is said again.
        self._asked: Job | None = None
        self._put: Evaluation | None = None

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
            elif (evaluation := self._of_its_like(job)) is not None:
                for report in evaluation.reports:
                    if (value := report.metrics.get(self._metric)) is not None:
                        self._source.report(job, report.step, value)
                self.tell(evaluation)
            self._asked = None
            if evaluation is None:
                return job

    def report(self, job: Job, step: int, value: float) -> bool:
        return self._source.report(job, step, value)

    def alerted(self, job: Job, alerts: Sequence[Alert]) -> None:
        pass_on(alerts, job, self._source)

    def tell(self, evaluation: Evaluation) -> None:
        if self._put is not evaluation:
            self._store.put(self._study, evaluation, self._lease)
            self._put = evaluation
        self._known.add(evaluation.job.key)
        self._source.tell(evaluation)

    def lacks(self, job: Job) -> bool:
        """Whether the job is still to be trained."""
        return self._recorded(job) is None

    def _of_its_like(self, job: Job) -> Evaluation | None:
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
        # A replicate that failed is tried again: the source asks for it only if it wants that.
        if evaluation is not None and evaluation.status is Status.FAILED and job.stage is not Stage.SEARCH:
            return None
        return evaluation
