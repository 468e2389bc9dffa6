"""Scales of axes: where a value lies, and which values are labeled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hpo.core.records import Value
from hpo.study import space

MARGIN = 0.05
"""Share of an axis that is left empty at each end."""

FAR = 3.0
"""Interquartile ranges beyond the quartiles from which a value is drawn at the edge of the axis."""

LONGEST = 12
"""Characters of a choice's label; a longer one is cut."""


class Scale(Protocol):
    """Where values lie on an axis."""

    def place(self, value: Value) -> float:
        """Returns the position of a value, from 0 to 1; of one beyond an end, that end."""
        ...

    def ticks(self, count: int) -> list[tuple[float, str]]:
        """Returns position and label of about `count` values."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberScale:
    """A scale of numbers, linear or logarithmic.

    Attributes:
        low: number at the start of the axis.
        high: number at its end, larger than `low`.
        log: whether it is logarithmic; then both ends are above 0.
    """

    low: float
    high: float
    log: bool = False

    def place(self, value: Value) -> float:
        """Returns the position of a number, from 0 to 1; of one beyond an end, that end."""
        number = float(value)
        if self.log:
            share = math.log(max(number, self.low) / self.low) / math.log(self.high / self.low)
        else:
            share = (number - self.low) / (self.high - self.low)
        return min(1.0, max(0.0, share))

    def contains(self, value: float) -> bool:
        """Whether a number lies between the ends."""
        return self.low <= value <= self.high

    def ticks(self, count: int) -> list[tuple[float, str]]:
        """Returns position and label of about `count` round numbers; none at 0."""
        if count == 0:
            return []
        found = self._decades(count) if self.log else []
        if len(found) < 2:
            found = self._steps(count)
        return [(self.place(value), text) for value, text in found]

    def _steps(self, count: int) -> list[tuple[float, str]]:
        rough = (self.high - self.low) / max(1, count)
        power = 10.0 ** math.floor(math.log10(rough))
        steps = [one * power for one in (0.2, 0.5, 1, 2, 5, 10)]
        place = next(index for index, one in enumerate(steps) if one >= rough * 0.999)
        for step in (steps[place], steps[place - 1], steps[place - 2]):  # smaller if there are too few to read from
            first = math.ceil(self.low / step - 1e-9)
            last = math.floor(self.high / step + 1e-9)
            if last - first + 1 >= min(3, count):
                break
        return [(index * step, label(index * step, step)) for index in range(first, last + 1)]

    def _decades(self, count: int) -> list[tuple[float, str]]:
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        factors = (1, 2, 5) if last - first <= 2 else (1,)
        inside = math.floor(math.log10(self.high)) - math.ceil(math.log10(self.low)) + 1
        every = 1 if len(factors) > 1 else max(1, math.ceil(inside / (count + 1)))
        numbers = [factor * 10.0**power for power in range(first, last + 1) for factor in factors]
        known = [one for one in numbers if self.low * 0.999 <= one <= self.high * 1.001]
        return [(one, f"{one:g}") for one in known[::every]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceScale:
    """A scale of choices at equal distances.

    Attributes:
        values: all choices in order, at least one.
    """

    values: tuple[Value, ...]

    def place(self, value: Value) -> float:
        """Returns the position of a choice; of one that is not on the scale, the start."""
        found = next((place for place, one in enumerate(self.values) if space.same(value, [one])), 0)
        return (found + 0.5) / len(self.values)

    def ticks(self, count: int) -> list[tuple[float, str]]:
        """Returns position and label of every choice, or of some if they are many more than `count`."""
        every = max(1, math.ceil(len(self.values) / (3 * max(1, count))))
        return [(self.place(one), cut(str(one))) for one in self.values[::every]]


def number_scale(values: Sequence[float], *, log: bool = False) -> NumberScale:
    """Returns a scale from the smallest to the largest of some finite numbers, with a margin.

    Args:
        values: numbers that are drawn; empty: the scale goes from 0 to 1.
        log: whether the scale is logarithmic, if all numbers are above 0.
    """
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    log = log and low > 0
    if high <= low:
        room = abs(low) * 0.05 or 0.5
        return NumberScale(low=low - room, high=high + room) if not log else NumberScale(low=low / 2, high=high * 2)
    if log:
        factor = (high / low) ** MARGIN
        return NumberScale(low=low / factor, high=high * factor, log=True)
    room = (high - low) * MARGIN
    return NumberScale(low=low - room, high=high + room)


def robust_scale(values: Sequence[float]) -> NumberScale:
    """Returns a linear scale of most of some numbers: a few that lie far away do not stretch it."""
    known = sorted(values)
    if len(known) < 5:
        return number_scale(known)
    first, third = (float(one) for one in np.quantile(known, [0.25, 0.75]))
    reach = FAR * ((third - first) or abs(third) * 0.05 or 0.5)
    return number_scale([one for one in known if first - reach <= one <= third + reach])


def param_scale(dimension: space.Dimension) -> Scale:
    """Returns the scale of a dimension of the search space."""
    if isinstance(dimension, space.Choice):
        return ChoiceScale(values=tuple(dimension.values))
    ends = [float(dimension.low), float(dimension.high)]
    return number_scale(ends, log=dimension.log)


def label(value: float, step: float) -> str:
    """Returns a number with the decimals that its distance to the next one needs."""
    if value == 0:
        return "0"
    if not 1e-4 <= step < 1e6 or abs(value) >= 1e6:
        return f"{value:.3g}"
    return f"{value:.{max(0, -math.floor(math.log10(step) + 1e-9))}f}"


def cut(text: str) -> str:
    """Returns a text that is short enough for an axis."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
