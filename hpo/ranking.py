"""Ranks candidates by how well they do over seeds, and how steadily."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hpo.statistics import sigma, t_interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How replicates become a score: mean - lambda * sigma, or plus when minimizing.

    Attributes:
        name: of the rule.
        lambda_: weight of sigma.
        ddof: of sigma.
    """

    name: Literal["mean-std"] = "mean-std"
    lambda_: float = 1.0
    ddof: int = 0

    def score(self, mean: float, deviation: float, direction: str) -> float:
        """Returns the score; more is better when maximizing, less when minimizing."""
        sign = -1.0 if direction == "maximize" else 1.0
        return mean + sign * self.lambda_ * deviation


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A trial that was chosen for promotion.

    Attributes:
        trial: its number.
        values: of its replicates by seed; None where a replicate failed.
        search_value: what it reached in the search, on the search's seed.
    """

    trial: int
    values: Mapping[int, float | None]
    search_value: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a ranking.

    Attributes:
        candidate: whose.
        rank: 1 for the winner; None where a replicate is missing: a candidate is never ranked over fewer seeds.
        mean: of the values.
        sigma: of the values, by the rule's ddof.
        score: by the rule.
        interval: Student's, 95 %, for the mean; None with a single seed.
    """

    candidate: Candidate
    rank: int | None = None
    mean: float | None = None
    sigma: float | None = None
    score: float | None = None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """Candidates ordered by score, incomplete ones last.

    Attributes:
        rule: the score's.
        direction: the objective's.
        seeds: in the order in which they are shown.
        rows: the winner first.
    """

    rule: Rule
    direction: str
    seeds: tuple[int, ...]
    rows: tuple[Row, ...]

    @property
    def winner(self) -> Row | None:
        """The first row; None if no candidate is complete."""
        return self.rows[0] if self.rows and self.rows[0].rank == 1 else None


def rank(candidates: Sequence[Candidate], seeds: Sequence[int], rule: Rule, direction: str) -> Ranking:
    """Returns the ranking. Of equal scores the better mean comes first, then the lower trial number.

    Args:
        candidates: with a value, or None, for each seed.
        seeds: of the promotion.
        rule: the score's.
        direction: `maximize` or `minimize`.
    """
    sign = -1.0 if direction == "maximize" else 1.0
    complete = [_row(candidate, seeds, rule, direction) for candidate in candidates if _is_complete(candidate, seeds)]
    complete.sort(key=lambda row: (sign * (row.score or 0.0), sign * (row.mean or 0.0), row.candidate.trial))
    ranked = [_ranked(row, place) for place, row in enumerate(complete, start=1)]
    incomplete = [Row(candidate=candidate) for candidate in candidates if not _is_complete(candidate, seeds)]
    return Ranking(rule=rule, direction=direction, seeds=tuple(seeds), rows=(*ranked, *incomplete))


def _is_complete(candidate: Candidate, seeds: Sequence[int]) -> bool:
    return all(candidate.values.get(seed) is not None for seed in seeds)


def _row(candidate: Candidate, seeds: Sequence[int], rule: Rule, direction: str) -> Row:
    values = [value for seed in seeds if (value := candidate.values[seed]) is not None]
    mean, deviation = float(np.mean(values)), sigma(values, rule.ddof)
    return Row(
        candidate=candidate,
        mean=mean,
        sigma=deviation,
        score=rule.score(mean, deviation, direction),
        interval=t_interval(values),
    )


def _ranked(row: Row, place: int) -> Row:
    return Row(
        candidate=row.candidate, rank=place, mean=row.mean, sigma=row.sigma, score=row.score, interval=row.interval
    )
