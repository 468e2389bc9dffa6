"""The plot column of the leaderboard: a point per seed, the mean and one sigma, on one axis for all candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hpo.stats.ranking import Ranking, Row

MARGIN = 0.06
"""Share of the axis that is left empty at each end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """The positions of a candidate's values on the axis, in percent of the column's width.

    Attributes:
        points: position of each seed's value, by seed.
        mean: position of the mean; None for an incomplete candidate.
        low: left end of the bar of one sigma; None for an incomplete candidate.
        high: right end of the bar of one sigma; None for an incomplete candidate.
        search: position of the value in the search; None if there is none.
    """

    points: Mapping[int, float]
    mean: float | None
    low: float | None
    high: float | None
    search: float | None


def strips(ranking: Ranking) -> dict[int, Strip]:
    """Returns the strip of each candidate, by its trial's number."""
    rows, seeds = ranking.rows, ranking.seeds
    known = [value for row in rows for value in _numbers(row, seeds)]
    if not known:
        return {}
    low, high = min(known), max(known)
    width = (high - low) or 1.0

    def position(value: float | None) -> float | None:
        if value is None:
            return None
        share = (value - low) / width if high > low else 0.5
        return round(100 * (MARGIN + (1 - 2 * MARGIN) * share), 2)

    found = {}
    for row in rows:
        low_end, high_end = _bar(row) or (None, None)
        found[row.candidate.trial] = Strip(
            points={seed: at for seed in seeds if (at := position(row.candidate.values.get(seed))) is not None},
            mean=position(row.mean),
            low=position(low_end),
            high=position(high_end),
            search=position(row.candidate.search_value),
        )
    return found


def _bar(row: Row) -> tuple[float, float] | None:
    """Returns the ends of the bar of one sigma; None for an incomplete candidate."""
    if row.mean is None or row.sigma is None:
        return None
    return row.mean - row.sigma, row.mean + row.sigma


def _numbers(row: Row, seeds: Sequence[int]) -> list[float]:
    candidate = row.candidate
    values = [candidate.search_value, *(candidate.values.get(seed) for seed in seeds), *(_bar(row) or ())]
    return [value for value in values if value is not None]
