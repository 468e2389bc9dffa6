"""Exact curtailment: gives the winner of the whole grid without training replicates that cannot change it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from hpo.core.records import Evaluation, Job
from hpo.promotion.grid import PromotionSource, in_seed_order
from hpo.stats.scoring import Rule

MARGIN = 1e-9
"""Relative margin by which a bound must lie below a score, because both are rounded."""


class CurtailedSource(PromotionSource):
    """Hands out replicates of the candidates that can still win, the one with the highest possible score first.

    First every candidate is trained under the first seed. A candidate gets no more replicates once the best score that
    it can still reach is below the score of a complete one. It gets them again if that bound turns out to be wrong,
    because a value exceeds the limit that the study gives for its metric.

    Args:
        candidates: by trial, one job per seed in seed order.
        rule: rule that turns replicates into a score.
        direction: `maximize` or `minimize`.
        limit: best possible value of the metric; None: unknown.
    """

    def __init__(
        self, candidates: Mapping[int, Sequence[Job]], rule: Rule, direction: str, limit: float | None = None
    ) -> None:
        super().__init__([])
        self.jobs = in_seed_order(candidates)
        self._candidates = candidates
        self._rule = rule
        self._direction = direction
        self._sign = 1.0 if direction == "maximize" else -1.0
        self._limit = limit
        self._handed_out = dict.fromkeys(candidates, 0)
        self._bounds: dict[int, float] = {}  # by trial, until one of its replicates ends

    def tell(self, evaluation: Evaluation) -> None:
        super().tell(evaluation)
        self._bounds.pop(evaluation.job.trial, None)
        value = evaluation.value
        if value is not None and self._limit is not None and self._sign * (value - self._limit) > 0:
            self._limit = None
            self._bounds.clear()

    def _refill(self) -> None:
        best = max((self._bound(trial) for trial in self._candidates if self._is_complete(trial)), default=-math.inf)
        bounds = {trial: self._bound(trial) for trial in self._candidates if self._is_open(trial)}
        could_win = [
            trial
            for trial, bound in bounds.items()
            if self._handed_out[trial] == 0 or not bound < best - MARGIN * max(1.0, abs(best), abs(bound))
        ]
        if could_win:  # those without a replicate first, then the highest bound
            trial = min(could_win, key=lambda one: (self._handed_out[one] > 0, -bounds[one]))
            self._waiting.append(self._candidates[trial][self._handed_out[trial]])
            self._handed_out[trial] += 1

    def _values(self, trial: int) -> list[float | None]:
        jobs = self._candidates[trial]
        found = [self.evaluations.get((trial, job.seed)) for job in jobs]
        return [one.value for one in found if one is not None]

    def _is_open(self, trial: int) -> bool:
        """Whether a replicate is left to train, none is running, and none has failed."""
        known = self._values(trial)
        return len(known) == self._handed_out[trial] < len(self._candidates[trial]) and None not in known

    def _is_complete(self, trial: int) -> bool:
        known = self._values(trial)
        return len(known) == len(self._candidates[trial]) and None not in known

    def _bound(self, trial: int) -> float:
        """Returns the best score that the candidate can still reach, or its score if complete; higher is better."""
        if trial not in self._bounds:
            values = [value for value in self._values(trial) if value is not None]
            count = len(self._candidates[trial])
            self._bounds[trial] = self._sign * self._rule.bound(values, count, self._direction, self._limit)
        return self._bounds[trial]
