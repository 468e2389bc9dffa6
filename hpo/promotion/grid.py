"""The full grid: every candidate is trained under every seed."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from hpo.core.protocols import DONE, WAIT, Decision, Done, Wait
from hpo.core.records import Evaluation, Job, Stage, Status, Value

MAX_TRIES = 2
"""Number of times a failing replicate is trained before its candidate counts as incomplete."""


def replicate(trial: int, params: Mapping[str, Value], seed: int, budget: int, streams: Mapping[str, int]) -> Job:
    """Returns the job of one replicate."""
    return Job(trial=trial, params=params, seed=seed, budget=budget, stage=Stage.PROMOTION, stream_seeds=streams)


def in_seed_order(candidates: Mapping[int, Sequence[Job]]) -> tuple[Job, ...]:
    """Returns the jobs of all candidates, those of the first seed first."""
    return tuple(job for row in zip(*candidates.values(), strict=True) for job in row)


class PromotionSource:
    """Hands out replicates with the full budget; none is pruned.

    Args:
        jobs: one job per replicate, in the order of training.

    Attributes:
        evaluations: finished evaluations by trial and seed.
        by_key: finished evaluations by job key, for jobs that share a trial and seed.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.jobs = tuple(jobs)
        self.evaluations: dict[tuple[int, int], Evaluation] = {}
        self.by_key: dict[tuple[object, ...], Evaluation] = {}
        self._waiting = deque(jobs)
        self._running = 0
        self._tries: dict[tuple[object, ...], int] = {}

    @classmethod
    def grid(cls, candidates: Mapping[int, Sequence[Job]]) -> PromotionSource:
        """Returns a source of every candidate under every seed; all candidates get the first seed before the second.

        Args:
            candidates: by trial, one job per seed in seed order; the best trial of the search first.
        """
        return cls(in_seed_order(candidates))

    @property
    def total(self) -> int:
        """Largest number of replicates, if none fails."""
        return len(self.jobs)

    def ask(self) -> Job | Wait | Done:
        if not self._waiting:
            self._refill()
        if self._waiting:
            self._running += 1
            return self._waiting.popleft()
        return WAIT if self._running else DONE  # a running one may fail and is then tried again

    def _refill(self) -> None:
        """Adds the next jobs to the waiting ones; here all of them wait from the start."""

    def report(self, job: Job, step: int, value: float) -> Decision:
        return Decision.CONTINUE

    def tell(self, evaluation: Evaluation) -> None:
        job = evaluation.job
        self._running -= 1
        self._tries[job.key] = self._tries.get(job.key, 0) + 1
        if evaluation.status is Status.FAILED and self._tries[job.key] < MAX_TRIES:
            self._waiting.append(job)
            return
        self.evaluations[job.trial, job.seed] = self.by_key[job.key] = evaluation
