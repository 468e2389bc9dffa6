"""Configurations that people bring: checked against the space, so that a search can begin with them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal

from hpo import space
from hpo.errors import ParamsInvalid, Problem, did_you_mean
from hpo.records import Value
from hpo.study.reading import dotted
from hpo.study.tables import Study

Configuration = Mapping[str, Value]


def refuse_unfit(study: Study, found: object, where: str) -> list[dict[str, Value]]:
    """Returns configurations as the study's own values.

    Params that are left out are for the sampler to draw.

    Args:
        study: whose space they have to fit.
        found: one table of params by name, or a list of them.
        where: what to call them in messages.

    Raises:
        ParamsInvalid: if one does not fit; the message lists every problem.
    """
    tables: Sequence[object] = found if isinstance(found, list | tuple) else [found]
    problems: list[Problem] = []
    checked: list[dict[str, Value]] = []
    if study.search.sampler == "grid" and tables:
        problems.append(Problem("-", "the sampler grid visits every point anyway; leave --enqueue out"))
    for index, table in enumerate(tables):
        at = str(index) if isinstance(found, list | tuple) else ""
        if not isinstance(table, Mapping):
            problems.append(Problem(at or "-", f"expected a table of params by name, got {str(table)[:60]!r}"))
            continue
        one, wrong = fitted(study, table)
        checked.append(one)
        problems += [Problem(f"{at}.{problem.key}" if at else problem.key, problem.message) for problem in wrong]
    if problems:
        raise ParamsInvalid(where, problems)
    return checked


def fitted(study: Study, table: Mapping[str, object]) -> tuple[dict[str, Value], list[Problem]]:
    """Returns what fits of a table of params by name, as the study's own values, and what does not."""
    dimensions, problems, values = study.space, [], {}
    for name, came in table.items():
        key = dotted(str(name))
        if name in study.fixed:
            problems.append(Problem(key, f"is fixed at {study.fixed[name]!r} in the study; leave it out"))
        elif name not in dimensions:
            known = ", ".join(dimensions)
            problems.append(Problem(key, f"no such param (params: {known}).{did_you_mean(str(name), dimensions)}"))
        elif (value := _fitting(dimensions[name], came)) is None:
            problems.append(Problem(key, f"expected a value of {dimensions[name]}, got {str(came)[:60]!r}"))
        else:
            values[name] = value
    for name in values:
        for parent, wanted in dimensions[name].when.items():
            shown = " or ".join(map(repr, wanted))
            if parent not in table:
                problems.append(Problem(dotted(name), f"exists only where {parent} is {shown}; give {parent} too"))
            elif parent in values and not space.same(values[parent], wanted):
                problems.append(Problem(dotted(name), f"exists only where {parent} is {shown}; leave it out"))
    return values, problems


def _fitting(dimension: space.Dimension, came: object) -> Value | None:
    """Returns what came as a value of the dimension, None if it is none."""
    match dimension:
        case space.Choice(values=values):
            return next((one for one in values if isinstance(came, Value) and space.same(came, (one,))), None)
        case space.Int(low=low, high=high, step=step):
            return came if type(came) is int and came in range(low, high + 1, step or 1) else None
        case space.Float(low=low, high=high, step=step):
            if isinstance(came, bool) or not isinstance(came, int | float):
                return None
            if not low <= came <= high or not math.isfinite(came):
                return None
            if step is not None and (Decimal(str(came)) - Decimal(str(low))) % Decimal(str(step)):
                return None
            return float(came)
