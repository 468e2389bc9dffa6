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

Bools = NDArray[np.bool_]

FEW = 32
"""Number of values up to which all values of a number are compared; one with more is moved as a real number."""

MOST_CHOICES = 256
"""Number of choices up to which all are told apart and compared; of more, those that were tried and some others."""

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
        self._absent = self._learned(trials)
        self._tried = {
            column: sorted({self._place(column, trial.params[name]) for trial in trials if name in trial.params})
            for column, name in enumerate(self.names)
            if self._is_choice[column] and self._counts[column] > MOST_CHOICES
        }
        shown = [1 + len(self._tried.get(k, range(n))) for k, (choice, n) in enumerate(self._kinds) if choice]
        self._width = 1 + max([1, *shown])

    @property
    def _kinds(self) -> list[tuple[bool, int]]:
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
                        met.setdefault((column, self._place(column, trial.params[name])), set()).update(trial.params)
        order = sorted(met, key=lambda choice: (-having[self.names[choice[0]]], choice))
        found = [(*choice, [k for k, name in enumerate(self.names) if name not in met[choice]]) for choice in order]
        return [one for one in found if one[2]]

    def _place(self, column: int, choice: Any) -> int:
        return int(self._all[column].to_internal_repr(choice))

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
                places = at[here].astype(int)
                if column in self._tried:  # those that no trial had share the last coordinate
                    tried = np.array(self._tried[column], int)
                    where = np.minimum(np.searchsorted(tried, places), len(tried) - 1)
                    places = np.where(tried[where] == places, where, len(tried))
                found[column, here, places] = math.sqrt(0.5)
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
                found[:, column] = rng.integers(size, size=count)
            elif 0 < size <= MOST_COUNTED and not getattr(distribution, "log", False):
                found[:, column] = rng.integers(size, size=count) / (size - 1) if size > 1 else 0.5
            else:
                found[:, column] = self._snapped(column, rng.random(count))
        return found

    def settled(self, units: Array, rng: Any) -> Array:
        """Returns the rows without the params that are absent with their choices, and with those that they lack."""
        there = np.where(np.isnan(units), self.drawn(len(units), rng), units)
        for column, place, absent in self._absent:
            there[np.ix_(np.flatnonzero(there[:, column] == place), np.array(absent))] = np.nan
        return there

    def within(self, units: Array) -> Array:
        """Returns the rows with each number moved to the nearest that the param can have, into the bounds too."""
        found = units.copy()
        for column, is_choice in enumerate(self._is_choice):
            if not is_choice:
                found[:, column] = self._snapped(column, np.clip(units[:, column], 0.0, 1.0))
        return found

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
        """Returns the rows that differ from a row (P,) in one param that is not moved as a real number."""
        found = [np.empty((0, len(row)))]
        for column in np.flatnonzero(~self.is_real & ~np.isnan(row)):
            there = self._places(int(column), rng)
            there = there[np.abs(there - row[column]) > 1e-9]
            rows = np.repeat(row[None], len(there), axis=0)
            rows[:, column] = there
            found.append(rows)
        return self.settled(np.concatenate(found), rng)

    def _places(self, column: int, rng: Any) -> Array:
        """Returns the values of a param with few of them, or some of many choices."""
        count, distribution = self._counts[column], self._all[column]
        if self._is_choice[column]:
            return np.asarray(np.arange(count) if count <= MOST_CHOICES else rng.integers(count, size=MOST_CHOICES))
        if isinstance(distribution, IntDistribution) and distribution.log:
            return np.array([unit(distribution, one) for one in range(distribution.low, distribution.high + 1)])
        return np.arange(count) / (count - 1) if count > 1 else np.array([0.5])

    def _snapped(self, column: int, at: Array) -> Array:
        """Returns numbers moved to the nearest that the param can have."""
        distribution, count = self._all[column], self._counts[column]
        if self._is_choice[column] or count == 0:
            return at
        if count == 1:
            return np.where(np.isnan(at), at, 0.5)
        if isinstance(distribution, IntDistribution) and distribution.log:
            low, high = math.log(distribution.low), math.log(distribution.high)
            whole = np.round(np.exp(low + at * (high - low)))
            return np.asarray((np.log(np.clip(whole, distribution.low, distribution.high)) - low) / (high - low))
        return np.asarray(np.round(at * (count - 1)) / (count - 1))


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
    low, high, at = (_scaled(distribution, one) for one in (distribution.low, distribution.high, given))
    return (at - low) / (high - low) if low < high else 0.5


def _scaled(distribution: FloatDistribution | IntDistribution, given: float) -> float:
    """Returns a number on the scale on which it is drawn; the half, because the width of all floats is no float."""
    return math.log(given) if distribution.log else given / 2


def value(distribution: BaseDistribution, at: float) -> float | int:
    """Returns the number that lies there, on its step.

    Args:
        distribution: bounds, scale and step of the number.
        at: place between the bounds, 0 to 1.
    """
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high = distribution.low, distribution.high
    if distribution.log:
        found = math.exp(math.log(low) + at * (math.log(high) - math.log(low)))
    elif distribution.step is None:
        found = low * (1 - at) + high * at
    else:  # in whole numbers, of which those beyond 2 ** 53 are no floats
        found = low + round(at * (_count(distribution) - 1)) * distribution.step
    found = round(found) if isinstance(distribution, IntDistribution) else found
    return min(high, max(low, found))


def _count(distribution: BaseDistribution) -> int:
    """Returns how many values a param has; 0: it is a real number."""
    if isinstance(distribution, CategoricalDistribution):
        return len(distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high, step = distribution.low, distribution.high, distribution.step
    if step is None:
        return 0
    return round((high - low) / step) + 1 if isinstance(step, float) else int((high - low) // step) + 1
