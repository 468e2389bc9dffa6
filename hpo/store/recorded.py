"""A source whose evaluations are stored before it hears of them, and whose jobs are never trained twice."""

from __future__ import annotations

from hpo.records import Evaluation, Job, Stage, Status
from hpo.seam import Done, Source, Wait
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
    """

    def __init__(self, source: Source, store: Store, study: StoredStudy, lease: Lease) -> None:
        self._source = source
        self._store = store
        self._study = study
        self._lease = lease
        self._known = store.keys(study)

    def ask(self) -> Job | Wait | Done:
        self._store.refuse_if_lost(self._lease)
        while isinstance(answer := self._source.ask(), Job):
            evaluation = self._recorded(answer)
            if evaluation is None:
                return answer
            self._source.tell(evaluation)
        return answer

    def report(self, job: Job, step: int, value: float) -> bool:
        return self._source.report(job, step, value)

    def tell(self, evaluation: Evaluation) -> None:
        self._store.put(self._study, evaluation, self._lease)
        self._known.add(evaluation.job.key)
        self._source.tell(evaluation)

    def lacks(self, job: Job) -> bool:
        """Whether the job is still to be trained."""
        return self._recorded(job) is None

    def _recorded(self, job: Job) -> Evaluation | None:
        if job.key not in self._known:
            return None
        evaluation = self._store.get(self._study, job)
        # A replicate that failed is tried again: the source asks for it only if it wants that.
        if evaluation is not None and evaluation.status is Status.FAILED and job.stage is not Stage.SEARCH:
            return None
        return evaluation
