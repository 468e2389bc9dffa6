"""Every candidate under every seed."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from hpo.core.protocols import DONE, WAIT, Decision, Done, Wait
from hpo.core.records import Evaluation, Job, Stage, Status, Value

TRIES = 2
"""How often a replicate is trained before its candidate counts as incomplete."""


def replicate(trial: int, params: Mapping[str, Value], seed: int, budget: int, streams: Mapping[str, int]) -> Job:
    """Returns the job of one replicate."""
    return Job(trial=trial, params=params, seed=seed, budget=budget, stage=Stage.PROMOTION, stream_seeds=streams)


def by_seed(candidates: Mapping[int, Sequence[Job]]) -> tuple[Job, ...]:
    """Returns all candidates' jobs, those of the first seed first."""
    return tuple(job for row in zip(*candidates.values(), strict=True) for job in row)


class PromotionSource:
    """Replicates, at full budget, nothing pruned.

    Args:
        jobs: one for each replicate, in the order in which they are handed out.

    Attributes:
        evaluations: by trial and seed.
        by_key: by the job's key, for jobs of which several have the same seed.
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
        """Returns every candidate under every seed, seed by seed, so that all candidates have the first one early.

        Args:
            candidates: jobs by trial, a job for each seed in their order; the best of the search first.
        """
        return cls(by_seed(candidates))

    @property
    def total(self) -> int:
        """How many replicates there are to be, at most, if none fails."""
        return len(self.jobs)

    def ask(self) -> Job | Wait | Done:
        if not self._waiting:
            self._refill()
        if self._waiting:
            self._running += 1
            return self._waiting.popleft()
        return WAIT if self._running else DONE  # one that is running may fail, and is then to be tried again

    def _refill(self) -> None:
        """Adds what is to be trained next to those that wait; nothing here: all waited from the start."""

    def report(self, job: Job, step: int, value: float) -> Decision:
        return Decision.CONTINUE

    def tell(self, evaluation: Evaluation) -> None:
        job = evaluation.job
        self._running -= 1
        self._tries[job.key] = self._tries.get(job.key, 0) + 1
        if evaluation.status is Status.FAILED and self._tries[job.key] < TRIES:
            self._waiting.append(job)
            return
        self.evaluations[job.trial, job.seed] = self.by_key[job.key] = evaluation
