"""Cross-validation: a job becomes one training for each fold, and their evaluations one, their mean."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

import numpy as np

from hpo.core.protocols import DONE, WAIT, Decision, Done, JobSource, Wait
from hpo.core.records import Alert, Evaluation, Job, Objective, Report, Status, digest
from hpo.core.wrappers import SourceWrapper
from hpo.seeds.derived import Purpose, derive_seed
from hpo.seeds.streams import STREAMS
from hpo.study import Study


def fold_jobs(job: Job, study: Study) -> tuple[Job, ...]:
    """Returns the trainings that a job takes: one for each fold of each repeat, or the job itself.

    The folds of one repeat share their division of the data; everything else is drawn anew in each. A stream that the
    study fixes is the same in all of them; a fixed split is divided anew by every repeat all the same.
    """
    if study.validation is None:
        return (job,)
    split = job.stream_seeds.get("split", job.seed)
    return tuple(
        replace(
            job,
            fold=fold,
            stream_seeds={
                **{name: derive_seed(job.seed, Purpose.FOLD, fold) for name in STREAMS},
                **job.stream_seeds,
                "split": derive_seed(split, Purpose.PARTITION, (fold - 1) // study.validation.folds),
            },
        )
        for fold in range(1, study.validation.trainings + 1)
    )


def mean_of(job: Job, folds: Sequence[Evaluation], objective: Objective) -> Evaluation:
    """Returns the evaluation of a job whose folds are complete, as many of them as there are.

    Its reports are one for each fold: the means of the metrics up to that fold, None where one is undefined in a fold.
    A constraint's is the largest, for it must hold in every fold.

    Args:
        job: that the folds are of.
        folds: in the order of their numbers; at least one.
        objective: the objective of the study.
    """
    reports = tuple(_report(folds[: count + 1], objective) for count in range(len(folds)))
    return Evaluation(
        job=job,
        status=Status.COMPLETE,
        value=float(np.mean([one.value for one in folds if one.value is not None])),
        step=len(folds),
        reports=reports,
        seconds=sum(one.seconds for one in folds),
        digests={"folds": digest([dict(one.digests) for one in folds])},
        fingerprint=folds[0].fingerprint if all(one.fingerprint == folds[0].fingerprint for one in folds) else {},
        folds=tuple(folds),
    )


def join_folds(evaluations: Iterable[Evaluation], study: Study) -> list[Evaluation]:
    """Returns stored evaluations with those of a job's folds made one again.

    A job of which a fold has failed is failed; one that lacks a fold is left out.
    """
    if study.validation is None:
        return list(evaluations)
    found = []
    for _, group in groupby(sorted(evaluations, key=_whole_key), key=_whole_key):
        folds = sorted(group, key=lambda one: one.job.fold)
        whole = replace(_whole(folds[0].job), stream_seeds=study.streams)
        failed = next((one for one in folds if one.status is Status.FAILED), None)
        if failed is not None:
            found.append(_failed(whole, failed, folds))
        elif len(folds) == study.trainings and all(one.status is Status.COMPLETE for one in folds):
            found.append(mean_of(whole, folds, study.objective))
    return found


@dataclass(slots=True)
class _Open:
    """A job whose folds are being trained."""

    job: Job
    left: deque[Job]
    running: int = 0
    told: dict[int, Evaluation] = field(default_factory=dict)
    judged: int = 0
    refused: bool = False


class FoldedSource(SourceWrapper):
    """Stands between a source and a backend: a job of the source becomes one for each fold.

    The source is told the mean over the folds so far whenever the next fold, in the order of their numbers, is over; so
    what it refuses does not depend on timing. Within a fold nothing is pruned. A fold that fails fails its job.

    Args:
        source: hands out jobs without folds.
        study: which folds there are.
        at_once: whether the folds of a job are handed out together; otherwise each waits for the one before, which
            may be the last.
    """

    def __init__(self, source: JobSource, study: Study, *, at_once: bool) -> None:
        super().__init__(source)
        self._study = study
        self._at_once = at_once
        self._open: dict[tuple[object, ...], _Open] = {}

    def ask(self) -> Job | Wait | Done:
        for one in self._open.values():
            if one.left and (self._at_once or not one.running):
                one.running += 1
                return one.left.popleft()
        answer = self._source.ask()
        if answer is DONE and any(one.left for one in self._open.values()):
            return WAIT  # for the folds that are running: each is followed by another
        if not isinstance(answer, Job):
            return answer
        first, *others = fold_jobs(answer, self._study)
        self._open[answer.key] = _Open(job=answer, left=deque(others), running=1)
        return first

    def report(self, job: Job, step: int, value: float) -> Decision:
        return Decision.CONTINUE

    def alerted(self, job: Job, alerts: Sequence[Alert]) -> None:
        """Keeps a fold's alerts from the source, which knows of no folds; the evaluation has them."""

    def tell(self, evaluation: Evaluation) -> None:
        one = self._open[_whole(evaluation.job).key]
        fold = evaluation.job.fold
        if fold not in one.told:  # else it is told again, because the database was away
            one.told[fold] = evaluation
            one.running -= 1
            if evaluation.status is not Status.COMPLETE:
                one.left.clear()
        self._judge(one)
        if not one.left and not one.running:
            self._source.tell(self._outcome(one))
            del self._open[one.job.key]

    def _judge(self, one: _Open) -> None:
        """Tells the source of the folds that are over, up to the first that is not, until it refuses."""
        while not one.refused and (known := self._complete(one))[one.judged :]:
            mean = mean_of(one.job, known[: one.judged + 1], self._study.objective)
            assert mean.value is not None  # it is complete
            if self._source.report(one.job, one.judged + 1, mean.value) is Decision.STOP:
                one.refused = True
                one.left.clear()
            one.judged += 1

    def _complete(self, one: _Open) -> list[Evaluation]:
        """Returns the folds from the first on that are complete."""
        known = []
        for fold in range(1, self._study.trainings + 1):
            if fold not in one.told or one.told[fold].status is not Status.COMPLETE:
                break
            known.append(one.told[fold])
        return known

    def _outcome(self, one: _Open) -> Evaluation:
        if one.refused:
            mean = mean_of(one.job, self._complete(one)[: one.judged], self._study.objective)
            return replace(mean, status=Status.PRUNED)
        folds = [one.told[fold] for fold in sorted(one.told)]
        failed = next((fold for fold in folds if fold.status is Status.FAILED), None)
        if failed is not None:
            return _failed(one.job, failed, folds)
        if any(fold.status is Status.PRUNED for fold in folds):
            return _pruned(one.job, self._complete(one), folds, self._study.objective)
        return mean_of(one.job, folds, self._study.objective)


def _report(folds: Sequence[Evaluation], objective: Objective) -> Report:
    metrics: dict[str, float | None] = {}
    for name in dict.fromkeys(name for one in folds for name in one.metrics):
        values = [one.metrics.get(name) for one in folds]
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            metrics[name] = None
        else:
            holds = name in objective.constraints
            metrics[name] = max(known) if holds else float(np.mean(known))
    at = max((report.at for one in folds for report in one.reports), default=0.0)
    return Report(step=len(folds), metrics=metrics, at=at)


def _pruned(job: Job, complete: Sequence[Evaluation], folds: Sequence[Evaluation], objective: Objective) -> Evaluation:
    """Returns the evaluation of a job of which a fold has pruned itself: the mean of those that were complete by then.

    Without any the job has no value.
    """
    remarks = tuple(f"in fold {one.job.fold}: {remark}" for one in folds for remark in one.remarks)
    if complete:
        return replace(mean_of(job, complete, objective), status=Status.PRUNED, remarks=remarks, folds=tuple(folds))
    seconds = sum(one.seconds for one in folds)
    return Evaluation(job=job, status=Status.PRUNED, seconds=seconds, remarks=remarks, folds=tuple(folds))


def _failed(job: Job, failed: Evaluation, folds: Sequence[Evaluation]) -> Evaluation:
    return Evaluation(
        job=job,
        status=Status.FAILED,
        error=f"in fold {failed.job.fold}: {failed.error}",
        seconds=sum(one.seconds for one in folds),
        folds=tuple(folds),
    )


def _whole(job: Job) -> Job:
    """Returns the job that a fold is of, but for the streams, which its key does not have."""
    return replace(job, fold=0)


def _whole_key(evaluation: Evaluation) -> tuple[object, ...]:
    return _whole(evaluation.job).key
