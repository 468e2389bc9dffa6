"""Params as rows of numbers: what the Gaussian process of `tpe+gp` computes with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial

if TYPE_CHECKING:
    from hpo.search.gaussian import Array

FEW = 32
"""Number of values up to which all values of a param are compared; a param with more is moved as a real number."""

MOST_COUNTED = 1_000_000
"""Number of values up to which each is drawn equally often; beyond it, bounds are half as likely."""


class UnitSpace:
    """A space whose params are rows of numbers.

    A number lies between 0 and 1, on its step; a choice is its place; an absent param is NaN. Which params are absent
    is learned from trials: those that no trial had along with a choice.

    Args:
        space: distributions of all params that any trial had, by name.
        trials: the trials that show which params go with which choices.

    Attributes:
        names: the params, in the order of the columns.
        is_real: by column, whether the param is moved as a real number.
    """

    def __init__(self, space: Mapping[str, BaseDistribution], trials: Sequence[FrozenTrial]) -> None:
        self.names = list(space)
        self._all = list(space.values())
        self._counts = [_count(distribution) for distribution in self._all]
        self._is_choice = [isinstance(distribution, CategoricalDistribution) for distribution in self._all]
        self.is_real = np.array([not choice and not 0 < n <= FEW for choice, n in self._kinds], bool)
        self._width = 1 + max([1, *(int(count) for choice, count in self._kinds if choice)])
        self._absent = self._learned(trials)

    @property
    def _kinds(self) -> list[tuple[bool, float]]:
        return list(zip(self._is_choice, self._counts, strict=True))

    def _learned(self, trials: Sequence[FrozenTrial]) -> list[tuple[int, int, list[int]]]:
        """Returns column, place of a choice and the columns absent with it; params that more trials have come first.

        A param that others depend on is in at least as many trials as they are.
        """
        met: dict[tuple[int, int], set[str]] = {}
        having = dict.fromkeys(self.names, 0)
        for trial in trials:
            for column, name in enumerate(self.names):
                if name in trial.params:
                    having[name] += 1
                    if self._is_choice[column]:
                        place = int(self._all[column].to_internal_repr(trial.params[name]))
                        met.setdefault((column, place), set()).update(trial.params)
        order = sorted(met, key=lambda choice: (-having[self.names[choice[0]]], choice))
        found = [(*choice, [k for k, name in enumerate(self.names) if name not in met[choice]]) for choice in order]
        return [one for one in found if one[2]]

    def units(self, many: Sequence[Mapping[str, Any]]) -> Array:
        """Returns the rows (N, P) of params."""
        found = np.full((len(many), len(self.names)), np.nan)
        for column, (name, distribution) in enumerate(zip(self.names, self._all, strict=True)):
            for row, params in enumerate(many):
                if name in params:
                    place = distribution.to_internal_repr(params[name])  # of a number, itself
                    found[row, column] = place if self._is_choice[column] else unit(distribution, place)
        return found

    def params(self, row: Array) -> dict[str, Any]:
        """Returns the params of a row (P,)."""
        return {
            name: distribution.to_external_repr(int(at)) if is_choice else value(distribution, float(at))
            for name, distribution, is_choice, at in zip(self.names, self._all, self._is_choice, row, strict=True)
            if not math.isnan(at)
        }

    def points(self, units: Array) -> Array:
        """Returns the coordinates (P, N, C) of rows: a number, or one for each choice; whether it is absent."""
        found = np.zeros((len(self.names), len(units), self._width))
        for column, is_choice in enumerate(self._is_choice):
            at = units[:, column]
            here = np.flatnonzero(~np.isnan(at))
            found[column, :, -1] = np.isnan(at)
            if is_choice:
                found[column, here, at[here].astype(int)] = math.sqrt(0.5)
            else:
                found[column, here, 0] = at[here]
        return found

    def moved(self, units: Array, points: Array) -> Array:
        """Returns the rows with their real numbers taken from points (P, N, C)."""
        there = np.where(self.is_real[None, :] & ~np.isnan(units), points[:, :, 0].T, units)
        for column in np.flatnonzero(self.is_real):
            there[:, column] = self._snapped(int(column), there[:, column])
        return there

    def drawn(self, count: int, rng: Any) -> Array:
        """Returns rows from anywhere, with all params."""
        found = np.empty((count, len(self.names)))
        for column, (distribution, size) in enumerate(zip(self._all, self._counts, strict=True)):
            if self._is_choice[column]:
                found[:, column] = rng.integers(int(size), size=count)
            elif 0 < size <= MOST_COUNTED and not getattr(distribution, "log", False):
                found[:, column] = rng.integers(int(size), size=count) / (size - 1) if size > 1 else 0.5
            else:
                found[:, column] = self._snapped(column, rng.random(count))
        return found

    def settled(self, units: Array, rng: Any) -> Array:
        """Returns the rows without the params that are absent with their choices, and with those that they lack."""
        there = np.where(np.isnan(units), self.drawn(len(units), rng), units)
        for column, place, absent in self._absent:
            there[np.ix_(np.flatnonzero(there[:, column] == place), np.array(absent))] = np.nan
        return there

    def near(self, units: Array, each: int, rng: Any) -> Array:
        """Returns `each` rows for each of these that differ in one or two params, by little or by anything."""
        rows = np.repeat(units, each, axis=0)
        anywhere = self.drawn(len(rows), rng)
        steps = np.clip(rows + rng.normal(0.0, 0.1, rows.shape), 0.0, 1.0)
        jumps = rng.random(rows.shape) < 0.5
        order = np.argsort(np.where(np.isnan(rows), 2.0, rng.random(rows.shape)), axis=1, kind="stable")
        changes = np.zeros(rows.shape, bool)
        changes[np.arange(len(rows)), order[:, 0]] = True
        if rows.shape[1] > 1:
            changes[np.arange(len(rows)), order[:, 1]] = rng.random(len(rows)) < 0.5
        for column, is_choice in enumerate(self._is_choice):
            small = self._snapped(column, steps[:, column])
            other = np.where(jumps[:, column] | is_choice, anywhere[:, column], small)
            changed = changes[:, column] & ~np.isnan(rows[:, column])
            rows[:, column] = np.where(changed, other, rows[:, column])
        return self.settled(rows, rng)

    def beside(self, row: Array, rng: Any) -> Array:
        """Returns all rows that differ from a row (P,) in one param that is not moved as a real number."""
        found = [np.empty((0, len(row)))]
        for column in np.flatnonzero(~self.is_real & ~np.isnan(row)):
            there = self._places(int(column))
            there = there[np.abs(there - row[column]) > 1e-9]
            rows = np.repeat(row[None], len(there), axis=0)
            rows[:, column] = there
            found.append(rows)
        return self.settled(np.concatenate(found), rng)

    def _places(self, column: int) -> Array:
        """Returns all values of a param with few of them."""
        count, distribution = int(self._counts[column]), self._all[column]
        if self._is_choice[column]:
            return np.arange(count, dtype=float)
        if isinstance(distribution, IntDistribution) and distribution.log:
            return np.array([unit(distribution, one) for one in range(distribution.low, distribution.high + 1)])
        return np.arange(count) / (count - 1) if count > 1 else np.array([0.5])

    def _snapped(self, column: int, at: Array) -> Array:
        """Returns numbers moved to the nearest that the param can have."""
        distribution, count = self._all[column], self._counts[column]
        if self._is_choice[column] or (isinstance(distribution, FloatDistribution) and distribution.step is None):
            return at
        if getattr(distribution, "log", False):
            return np.array([one if math.isnan(one) else unit(distribution, value(distribution, one)) for one in at])
        return np.round(at * (count - 1)) / (count - 1) if count > 1 else np.where(np.isnan(at), at, 0.5)


def keys(units: Array) -> list[bytes]:
    """Returns for each row what tells it from others."""
    return [row.tobytes() for row in np.round(np.where(np.isnan(units), -1.0, units), 9) + 0.0]


def unit(distribution: BaseDistribution, given: float) -> float:
    """Returns where a number lies between its bounds, 0 to 1.

    Args:
        distribution: bounds and scale of the number.
        given: the number itself.
    """
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high = float(distribution.low), float(distribution.high)
    if low == high:
        return 0.5
    if distribution.log:
        return (math.log(given) - math.log(low)) / (math.log(high) - math.log(low))
    return (float(given) - low) / (high - low)


def value(distribution: BaseDistribution, at: float) -> float | int:
    """Returns the number that lies there, on its step.

    Args:
        distribution: bounds, scale and step of the number.
        at: place between the bounds, 0 to 1.
    """
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high = float(distribution.low), float(distribution.high)
    if distribution.log:
        found = math.exp(math.log(low) + at * (math.log(high) - math.log(low)))
    else:
        found = low + at * (high - low)
    if distribution.step is not None and not distribution.log:
        found = low + round((found - low) / distribution.step) * distribution.step
    found = min(high, max(low, found))
    return round(found) if isinstance(distribution, IntDistribution) else found


def _count(distribution: BaseDistribution) -> float:
    """Returns how many values a param has; 0: it is a real number."""
    if isinstance(distribution, CategoricalDistribution):
        return len(distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    step = distribution.step
    return 0 if step is None else round((distribution.high - distribution.low) / step) + 1


Bools = NDArray[np.bool_]
