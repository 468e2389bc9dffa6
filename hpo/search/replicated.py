"""A search in which every trial is trained under several seeds, and its value combines all of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from hpo.core.protocols import Decision, Done, JobSource, Wait
from hpo.core.records import Alert, Evaluation, Job, Objective, Report, Status
from hpo.core.wrappers import SourceWrapper
from hpo.stats.scoring import Rule


@dataclass(slots=True)
class _Trial:
    """One trial: its job as the search asked for it, and what its replicates came to."""

    job: Job
    left: deque[Job]
    running: int = 0
    told: list[Evaluation] = field(default_factory=list)


class ReplicatedSource(SourceWrapper):
    """Wraps a search: each of its jobs becomes one job per seed, and their evaluations become one.

    The value is the mean over the seeds, or the mean - lambda * sigma. A replicate that fails fails its trial, one that
    prunes itself prunes it, and those that have not begun are left out. Nothing else is pruned: what all seeds give is
    known when all are over.

    Args:
        source: hands out one job per trial.
        seeds: seeds of every trial.
        rule: combines the values of a trial's seeds.
        objective: the objective of the study.
    """

    def __init__(self, source: JobSource, seeds: Sequence[int], rule: Rule, objective: Objective) -> None:
        super().__init__(source)
        self._seeds = tuple(seeds)
        self._rule = rule
        self._objective = objective
        self._open: dict[int, _Trial] = {}

    def ask(self) -> Job | Wait | Done:
        for trial in self._open.values():
            if trial.left:
                trial.running += 1
                return trial.left.popleft()
        answer = self._source.ask()
        if not isinstance(answer, Job):
            return answer
        first, *others = (replace(answer, seed=seed) for seed in self._seeds)
        self._open[answer.trial] = _Trial(job=answer, left=deque(others), running=1)
        return first

    def report(self, job: Job, step: int, value: float) -> Decision:
        return Decision.CONTINUE

    def alerted(self, job: Job, alerts: Sequence[Alert]) -> None:
        """Does not forward a replicate's alerts, because the search knows no replicates; the evaluation has them."""

    def tell(self, evaluation: Evaluation) -> None:
        trial = self._open[evaluation.job.trial]
        if evaluation not in trial.told:  # told again if the database was away
            trial.told.append(evaluation)
            trial.running -= 1
            if evaluation.status is not Status.COMPLETE:
                trial.left.clear()
        if not trial.left and not trial.running:
            self._source.tell(self._combined(trial))
            del self._open[evaluation.job.trial]

    def _combined(self, trial: _Trial) -> Evaluation:
        """Returns the evaluation of a trial from its replicates."""
        told = sorted(trial.told, key=lambda one: self._seeds.index(one.job.seed))
        seconds = sum(one.seconds for one in told)
        for one in told:
            if one.status is Status.FAILED:
                error = f"under seed {one.job.seed}: {one.error}"
                return Evaluation(job=trial.job, status=Status.FAILED, error=error, seconds=seconds)
        pruned = next((one for one in told if one.status is Status.PRUNED), None)
        if pruned is not None:  # by the trainable itself; a mean over fewer seeds would be another quantity
            remarks = tuple(f"under seed {pruned.job.seed}: {remark}" for remark in pruned.remarks)
            return Evaluation(job=trial.job, status=Status.PRUNED, seconds=seconds, remarks=remarks)
        values = [one.value for one in told if one.value is not None]
        value = self._rule.score(values, self._objective.direction)
        others = {
            name: self._rule.score([one.metrics[name] or 0.0 for one in told], direction)
            for name, direction in self._objective.others
        }
        broken = {name: max(one.metrics[name] or 0.0 for one in told) for name in self._objective.constraints}
        report = Report(step=1, metrics={self._objective.metric: float(np.mean(values)), **others, **broken}, at=0.0)
        return Evaluation(
            job=trial.job, status=Status.COMPLETE, value=value, step=1, reports=(report,), seconds=seconds
        )
