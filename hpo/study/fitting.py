"""Checks users' configurations against a study's space and converts their values."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from decimal import Decimal

from hpo.core.errors import Problem, did_you_mean
from hpo.core.records import Value
from hpo.study import space
from hpo.study.table import dotted

GRID_ULPS = 8
"""Tolerance of a value on a grid in units in the last place, for rounding errors."""

LARGEST = sys.float_info.max
"""The largest finite float."""


def on_a_grid(then: str) -> str:
    """Returns why a grid search cannot enqueue configurations, and what to do."""
    return f"the sampler grid visits every point anyway; {then}"


def fitted(
    dimensions: Mapping[str, space.Dimension], fixed: Mapping[str, Value], table: Mapping[str, object]
) -> tuple[dict[str, Value], list[Problem]]:
    """Returns the valid params of a table, as values of the space, and the problems of the others.

    Args:
        dimensions: the study's space.
        fixed: the study's fixed params.
        table: the user's params by name.
    """
    problems, values = [], {}
    for name, given in table.items():
        key = dotted(str(name))
        if name in fixed:
            problems.append(Problem(key, f"is fixed at {fixed[name]!r} in the study; leave it out"))
        elif name not in dimensions:
            known = ", ".join(dimensions)
            problems.append(Problem(key, f"no such param (params: {known}).{did_you_mean(str(name), dimensions)}"))
        elif (value := _fitting(dimensions[name], given)) is None:
            problems.append(Problem(key, f"expected a value of {dimensions[name]}, got {str(given)[:60]!r}"))
        else:
            values[name] = value
    for name in values:
        for parent, wanted in space.conditions(dimensions[name].when).items():
            shown = " or ".join(map(repr, wanted))
            if parent not in table:
                problems.append(Problem(dotted(name), f"exists only where {parent} is {shown}; give {parent} too"))
            elif parent in values and not space.meets(values[parent], wanted):
                problems.append(Problem(dotted(name), f"exists only where {parent} is {shown}; leave it out"))
    return values, problems


def _fitting(dimension: space.Dimension, given: object) -> Value | None:
    """Returns a value as a value of the dimension; None if it does not fit."""
    match dimension:
        case space.Choice(values=values):
            return next(
                (one for one in values if any(space.same(own, (one,)) for own in space.choice_values(given))), None
            )
        case space.Int(low=low, high=high, step=step):
            return given if type(given) is int and given in range(low, high + 1, step or 1) else None
        case space.Float(low=low, high=high, step=step):
            if isinstance(given, bool) or not isinstance(given, int | float):
                return None
            if step is not None:
                return _on_the_grid(given, low, high, step)
            return float(given) if low <= given <= high else None


def _on_the_grid(given: float, low: float, high: float, step: float) -> float | None:
    """Returns the value if it is on the grid of steps from `low`; otherwise None.

    Optuna computes with binary floats: three steps of 0.1 give 0.30000000000000004, which is then the trial's value.
    """
    if not abs(given) <= LARGEST:  # infinite, NaN, or an integer too large for a float
        return None
    index = round((Decimal(given) - Decimal(str(low))) / Decimal(str(step)))
    near = float(Decimal(str(low)) + index * Decimal(str(step)))
    rounding = GRID_ULPS * math.ulp(max(abs(given), abs(low), abs(high)))
    if not low <= near <= high or abs(near - given) > min(rounding, step / 4):
        return None
    return min(max(float(given), low), high)
