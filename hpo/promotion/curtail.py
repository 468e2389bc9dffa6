"""Exact curtailment: the winner of the whole grid, without the replicates that cannot change it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from hpo.core.records import Evaluation, Job
from hpo.promotion.grid import PromotionSource, by_seed
from hpo.stats.scoring import Rule

MARGIN = 1e-9
"""By how much, of the larger size, a bound must lie below a score: both are rounded."""


class CurtailedSource(PromotionSource):
    """Hands out the next replicate of the candidate that could still score best, while it could still win.

    First every candidate is trained under the first seed. A candidate is left alone once even the best that its other
    seeds could bring is worse than the score of one that is complete. It is taken up again if that bound proves wrong,
    because a value lies beyond the limit that the study gives for its metric.

    Args:
        candidates: jobs by trial, a job for each seed in their order.
        rule: how replicates become a score.
        direction: `maximize` or `minimize`.
        limit: no value can be better; None: unknown.
    """

    def __init__(
        self, candidates: Mapping[int, Sequence[Job]], rule: Rule, direction: str, limit: float | None = None
    ) -> None:
        super().__init__([])
        self.jobs = by_seed(candidates)
        self._candidates = candidates
        self._rule = rule
        self._direction = direction
        self._sign = 1.0 if direction == "maximize" else -1.0
        self._limit = limit
        self._handed_out = dict.fromkeys(candidates, 0)

    def tell(self, evaluation: Evaluation) -> None:
        super().tell(evaluation)
        value = evaluation.value
        if value is not None and self._limit is not None and self._sign * (value - self._limit) > 0:
            self._limit = None

    def _refill(self) -> None:
        best = max((self._bound(trial) for trial in self._candidates if self._is_complete(trial)), default=-math.inf)
        bounds = {trial: self._bound(trial) for trial in self._candidates if self._is_open(trial)}
        could_win = [
            trial
            for trial, bound in bounds.items()
            if self._handed_out[trial] == 0 or not bound < best - MARGIN * max(1.0, abs(best), abs(bound))
        ]
        if could_win:  # the fewest replicates first until all have one, then the highest bound
            trial = min(could_win, key=lambda one: (self._handed_out[one] > 0, -bounds[one]))
            self._waiting.append(self._candidates[trial][self._handed_out[trial]])
            self._handed_out[trial] += 1

    def _values(self, trial: int) -> list[float | None]:
        jobs = self._candidates[trial]
        found = [self.evaluations.get((trial, job.seed)) for job in jobs]
        return [one.value for one in found if one is not None]

    def _is_open(self, trial: int) -> bool:
        """Whether a replicate is left and none is being trained, or has failed for good."""
        known = self._values(trial)
        return len(known) == self._handed_out[trial] < len(self._candidates[trial]) and None not in known

    def _is_complete(self, trial: int) -> bool:
        known = self._values(trial)
        return len(known) == len(self._candidates[trial]) and None not in known

    def _bound(self, trial: int) -> float:
        """Returns the best score that the candidate can still reach; of a complete one its score. More is better."""
        values = [value for value in self._values(trial) if value is not None]
        count = len(self._candidates[trial])
        return self._sign * self._rule.bound(values, count, self._direction, self._limit)
