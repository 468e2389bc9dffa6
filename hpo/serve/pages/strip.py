"""The leaderboard's drawn column: every seed's point, the mean and one sigma, on one axis for all candidates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MARGIN = 0.06
"""Share of the axis that is left empty at each end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """Positions on the axis, in percent of the column's width.

    Attributes:
        points: place of each seed's value on the axis, in percent.
        mean: None for an incomplete candidate.
        low: left end of the bar of one sigma; None for an incomplete candidate.
        high: right end of the bar of one sigma; None for an incomplete candidate.
        search: the value that the search had found.
    """

    points: Mapping[int, float]
    mean: float | None
    low: float | None
    high: float | None
    search: float | None


def strips(promotion: Mapping[str, Any]) -> dict[int, Strip]:
    """Returns the strip of each candidate by its trial.

    Args:
        promotion: with `seeds` and `candidates`.
    """
    rows = promotion["candidates"]
    known = [value for row in rows for value in _numbers(row, promotion["seeds"])]
    if not known:
        return {}
    low, high = min(known), max(known)
    width = (high - low) or 1.0

    def at(value: float | None) -> float | None:
        if value is None:
            return None
        share = (value - low) / width if high > low else 0.5
        return round(100 * (MARGIN + (1 - 2 * MARGIN) * share), 2)

    found = {}
    for row in rows:
        mean, sigma = row["mean"], row["sigma"]
        seeds = {seed: place for seed in promotion["seeds"] if (place := at(row[f"seed_{seed}"])) is not None}
        has_bar = mean is not None and sigma is not None
        found[row["trial"]] = Strip(
            points=seeds,
            mean=at(mean),
            low=at(mean - sigma) if has_bar else None,
            high=at(mean + sigma) if has_bar else None,
            search=at(row["search_value"]),
        )
    return found


def _numbers(row: Mapping[str, Any], seeds: list[int]) -> list[float]:
    bar = []
    if row["mean"] is not None and row["sigma"] is not None:
        bar = [row["mean"] - row["sigma"], row["mean"] + row["sigma"]]
    values = [row["search_value"], *(row[f"seed_{seed}"] for seed in seeds), *bar]
    return [value for value in values if value is not None]
