"""Cross-validation: a job becomes one training per fold, and the folds' evaluations become one, their mean."""

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

    The folds of one repeat share one partition of the data; every other stream differs between folds. A stream that
    the study fixes is the same in all folds; even with a fixed split each repeat has a partition of its own.
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
    """Returns the evaluation of a job from its complete folds.

    It has one report per fold: the means of the metrics up to that fold, None if a metric is undefined in one of them.
    For a constraint the report has the largest value, because the constraint must hold in every fold.

    Args:
        job: the job that the folds belong to.
        folds: evaluations in the order of their fold numbers; at least one.
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
    """Returns stored evaluations with the folds of each job joined to one evaluation.

    A job with a failed fold has failed; a job with a missing fold is left out.
    """
    if study.validation is None:
        return list(evaluations)
    found = []
    for _, group in groupby(sorted(evaluations, key=_whole_job_key), key=_whole_job_key):
        folds = sorted(group, key=lambda one: one.job.fold)
        whole = replace(_without_fold(folds[0].job), stream_seeds=study.streams)
        failed = next((one for one in folds if one.status is Status.FAILED), None)
        if failed is not None:
            found.append(_failed(whole, failed, folds))
        elif len(folds) == study.trainings and all(one.status is Status.COMPLETE for one in folds):
            found.append(mean_of(whole, folds, study.objective))
    return found


@dataclass(slots=True)
class _OpenJob:
    """A job whose folds are being trained; `reported` counts the folds whose mean the source has seen."""

    job: Job
    left: deque[Job]
    running: int = 0
    evaluations: dict[int, Evaluation] = field(default_factory=dict)
    reported: int = 0
    pruned: bool = False


class FoldedSource(SourceWrapper):
    """Wraps a source: each of its jobs becomes one job per fold.

    Whenever the next fold, in the order of fold numbers, is complete, the mean over the folds so far is reported to the
    source; so its decisions do not depend on timing. Within a fold nothing is pruned. A failed fold fails its job.

    Args:
        source: hands out jobs without folds.
        study: says how many folds and repeats there are.
        at_once: whether the folds of a job run at the same time; otherwise each waits for the previous one, after
            which the job may be pruned.
    """

    def __init__(self, source: JobSource, study: Study, *, at_once: bool) -> None:
        super().__init__(source)
        self._study = study
        self._at_once = at_once
        self._open: dict[tuple[object, ...], _OpenJob] = {}

    def ask(self) -> Job | Wait | Done:
        for one in self._open.values():
            if one.left and (self._at_once or not one.running):
                one.running += 1
                return one.left.popleft()
        answer = self._source.ask()
        if answer is DONE and any(one.left for one in self._open.values()):
            return WAIT  # for the folds that are running, each of which is followed by another
        if not isinstance(answer, Job):
            return answer
        first, *others = fold_jobs(answer, self._study)
        self._open[answer.key] = _OpenJob(job=answer, left=deque(others), running=1)
        return first

    def report(self, job: Job, step: int, value: float) -> Decision:
        return Decision.CONTINUE

    def alerted(self, job: Job, alerts: Sequence[Alert]) -> None:
        """Does not forward a fold's alerts, because the source knows no folds; the evaluation has them."""

    def tell(self, evaluation: Evaluation) -> None:
        one = self._open[_without_fold(evaluation.job).key]
        fold = evaluation.job.fold
        if fold not in one.evaluations:  # else this is a second call, after the database was unreachable
            one.evaluations[fold] = evaluation
            one.running -= 1
            if evaluation.status is not Status.COMPLETE:
                one.left.clear()
        self._report_means(one)
        if not one.left and not one.running:
            self._source.tell(self._evaluation(one))
            del self._open[one.job.key]

    def _report_means(self, one: _OpenJob) -> None:
        """Reports to the source the means over the first folds that are complete, until it stops the job."""
        while not one.pruned and (known := self._complete(one))[one.reported :]:
            mean = mean_of(one.job, known[: one.reported + 1], self._study.objective)
            assert mean.value is not None  # a complete evaluation has a value
            if self._source.report(one.job, one.reported + 1, mean.value) is Decision.STOP:
                one.pruned = True
                one.left.clear()
            one.reported += 1

    def _complete(self, one: _OpenJob) -> list[Evaluation]:
        """Returns the folds up to the first that is not complete."""
        known = []
        for fold in range(1, self._study.trainings + 1):
            if fold not in one.evaluations or one.evaluations[fold].status is not Status.COMPLETE:
                break
            known.append(one.evaluations[fold])
        return known

    def _evaluation(self, one: _OpenJob) -> Evaluation:
        if one.pruned:
            mean = mean_of(one.job, self._complete(one)[: one.reported], self._study.objective)
            return replace(mean, status=Status.PRUNED)
        folds = [one.evaluations[fold] for fold in sorted(one.evaluations)]
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
            metrics[name] = max(known) if name in objective.constraints else float(np.mean(known))
    at = max((report.at for one in folds for report in one.reports), default=0.0)
    return Report(step=len(folds), metrics=metrics, at=at)


def _pruned(job: Job, complete: Sequence[Evaluation], folds: Sequence[Evaluation], objective: Objective) -> Evaluation:
    """Returns the evaluation of a job in which a fold pruned itself: the mean of the complete folds.

    If no fold is complete, the evaluation has no value.
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


def _without_fold(job: Job) -> Job:
    """Returns the job of a fold with the fold's streams, which are not part of the key."""
    return replace(job, fold=0)


def _whole_job_key(evaluation: Evaluation) -> tuple[object, ...]:
    return _without_fold(evaluation.job).key
