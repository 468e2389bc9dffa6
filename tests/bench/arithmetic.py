"""The bench's own arithmetic: slopes, paired ratios, and how they are said."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """A median with what lay farthest from it."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Returns the spread of at least one value."""
        return cls(statistics.median(values), min(values), max(values))

    def shown(self, scale: float = 1.0, digits: int = 2) -> str:
        """Returns `median (low .. high)`."""
        low, median, high = (f"{value * scale:.{digits}f}" for value in (self.low, self.median, self.high))
        return f"{median} ({low} .. {high})"


def slope(stamps: Sequence[float], skip: int) -> float:
    """Returns the mean step between stamps once the first `skip` are over: what one more trial costs.

    Raises:
        ValueError: if fewer than two stamps are left.
    """
    steady = stamps[skip:]
    if len(steady) < 2:
        raise ValueError(f"a slope needs two stamps after the first {skip}, there are {len(stamps)} in all")
    return (steady[-1] - steady[0]) / (len(steady) - 1)


def steady_from(workers: Sequence[object], skip: int) -> int:
    """Returns how many trials are start-up: `skip`, and all before the last worker process ends its first.

    Args:
        workers: which process trained each trial, in the order in which they ended.
        skip: at least so many.
    """
    first = {worker: place for place, worker in reversed(list(enumerate(workers)))}
    return max(skip, *first.values())


def paired(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Returns the spread of the ratios of values that were taken in turn: what slows both cancels out."""
    return Spread.of([one / other for one, other in zip(ours, theirs, strict=True)])


def busy_share(trainings: Sequence[tuple[float, float]], slots: int, begin: float, end: float) -> float:
    """Returns which share of the slots' time between `begin` and `end` was spent in trainings."""
    busy = sum(max(0.0, min(over, end) - max(start, begin)) for start, over in trainings)
    return busy / (slots * (end - begin))
