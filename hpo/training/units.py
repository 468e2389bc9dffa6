"""Results over units: the predictions for several cases of one patient, or of one examination, become one.

Shapes: N cases, U units, C classes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hpo.core.errors import TrainableError
from hpo.core.protocols import Aggregate, Units
from hpo.stats.classification import NAMES, UNIT, classification_scores
from hpo.training.predictions import Predictions

if TYPE_CHECKING:
    from hpo.training.splits import Division

GROUP = "group"
"""The name of the groups that a trainable passes to `Context.split`."""

SHOWN = 12
"""Maximum names in a message."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UnitPredictions:
    """The predictions for the units of cases.

    Attributes:
        units: what the units are, and how their cases became one.
        predictions: one row per unit, in order of appearance; `cases` has the unit's name, and the columns that are
            the same for all cases of each unit.
        left_out: names of the units whose cases have different true classes, so that the unit has none.
    """

    units: Units
    predictions: Predictions
    left_out: tuple[str, ...]


def with_units(predictions: Predictions, units: Units | None, division: Division | None) -> Predictions:
    """Returns predictions with the unit of each case.

    Args:
        predictions: predictions that know their rows, if they are of the held-out cases of `division`.
        units: what the study calls a unit; None: there are no units.
        division: how `Context.split` divided the cases; None: it was not called.

    Raises:
        TrainableError: if the unit of the cases is not known, or a unit has cases of several groups.
    """
    if units is None:
        return predictions
    named = {} if division is None else division.units
    if units.name in named:
        if predictions.rows is None:
            raise TrainableError(
                f"the metrics per {units.name} need the predictions of the cases that ctx.split() held out, in its "
                "order; other cases were predicted"
            )
        found = tuple(named[units.name][row] for row in predictions.rows)
    elif units.name in predictions.cases:
        found = predictions.cases[units.name]
    elif units.name == GROUP and predictions.groups is not None:
        found = tuple(map(str, predictions.groups.tolist()))
    else:
        known = [*named, *predictions.cases, *([GROUP] if predictions.groups is not None else [])]
        raise TrainableError(
            f"[validation] units is {units.name!r}, but no such unit of the cases is known (known: "
            f"{', '.join(known[:SHOWN]) or 'nothing'}); pass it to ctx.split(units={{{units.name!r}: ...}}), or as a "
            "column of `cases` to ctx.saw_predictions() and ctx.save_predictions()"
        )
    if predictions.groups is not None:
        _check_nested(found, predictions.groups, units.name)
    return replace(predictions, units=found, unit=units)


def by_unit(predictions: Predictions) -> UnitPredictions | None:
    """Returns the predictions for units; None if the cases have none.

    With p_vc the probability of class c for case v of a unit, the unit's is

    - `mean`: q_c = mean_v p_vc;
    - `max`: q_c = max_v p_vc / sum_c' max_v p_vc', since the maxima of several classes sum to more than 1.

    A unit whose cases have different true classes is left out: none of them would be its class.

    Args:
        predictions: predictions for single cases.
    """
    if predictions.units is None or predictions.unit is None:
        return None
    names = list(dict.fromkeys(predictions.units))
    numbers = {name: number for number, name in enumerate(names)}
    unit_N = np.array([numbers[name] for name in predictions.units], dtype=np.int64)
    first_U = _firsts(unit_N, len(names))
    truth_U = predictions.truth[first_U]
    mixed_U = np.zeros(len(names), dtype=bool)
    mixed_U[unit_N[predictions.truth != truth_U[unit_N]]] = True
    probability_UC = _together(predictions.probabilities, unit_N, len(names), predictions.unit.aggregate)
    kept = np.flatnonzero(~mixed_U)
    columns = {name: column for name, column in predictions.cases.items() if _is_constant(column, unit_N, first_U)}
    cases = {predictions.unit.name: [names[row] for row in kept]}
    cases |= {
        name: [column[first_U[row]] for row in kept]
        for name, column in columns.items()
        if name != predictions.unit.name
    }
    made = Predictions.of(
        truth=truth_U[kept],
        probabilities=probability_UC[kept],
        labels=predictions.labels,
        names=predictions.names,
        cases=cases,
    )
    groups = None if predictions.groups is None else predictions.groups[first_U][kept]
    return UnitPredictions(
        units=predictions.unit,
        predictions=replace(made, groups=groups),
        left_out=tuple(names[row] for row in np.flatnonzero(mixed_U)),
    )


def unit_scores(predictions: Predictions) -> Mapping[str, float | None]:
    """Returns the metrics over units by key, `unit_acc` and so on; empty if the cases have no units.

    All are None if every unit has cases of different classes.

    Args:
        predictions: predictions for single cases.
    """
    found = by_unit(predictions)
    if found is None:
        return {}
    if not len(found.predictions.truth):
        return dict.fromkeys(f"{UNIT}{key}" for key in NAMES)
    scores = classification_scores(found.predictions.truth, found.predictions.probabilities)
    return {f"{UNIT}{key}": value for key, value in scores.items()}


def unit_remark(predictions: Predictions) -> str | None:
    """Returns what a reader should know of the metrics over units; None if there is nothing.

    Args:
        predictions: predictions for single cases.
    """
    found = by_unit(predictions)
    if found is None:
        return None
    name, total = found.units.name, len(found.predictions.truth) + len(found.left_out)
    if found.left_out:
        first = ", ".join(found.left_out[:3]) + (", ..." if len(found.left_out) > 3 else "")
        return (
            f"{len(found.left_out)} of {total} units ({name} {first}) are left out of the metrics per {name}, because "
            "their cases have different classes"
        )
    if total == len(predictions.truth):
        return f"each {name} has one predicted case, so the metrics per {name} are those of the cases"
    return None


def check_defined(predictions: Predictions, needed: Collection[str]) -> None:
    """Checks that the metrics over units that a study needs are defined.

    Args:
        predictions: predictions for single cases.
        needed: names of the metrics that the study needs.

    Raises:
        TrainableError: if one is over units, but every unit has cases of different classes.
    """
    found = by_unit(predictions)
    if found is None or len(found.predictions.truth):
        return
    for name in needed:
        if name.removeprefix(UNIT) in NAMES and name.startswith(UNIT):
            raise TrainableError(
                f"{name} is undefined: each of the {len(found.left_out)} validation units ({found.units.name}) has "
                "cases of different classes; use other units, or more validation cases"
            )


def check_whole(name: str, division: Division) -> None:
    """Checks that units are units of these data: some have several cases, and all of them are on one side.

    Args:
        name: name of the units.
        division: how `Context.split` divided the cases.

    Raises:
        TrainableError: if every unit has one case, or one has cases on both sides.
    """
    unit_N = division.units.get(name)
    if unit_N is None:
        return
    if len(set(unit_N)) == len(unit_N):
        raise TrainableError(
            f"[validation] units is {name!r}, but each of the {len(unit_N)} cases is a {name} of its own, so there is "
            "nothing to aggregate; use all cases of the data, or remove units"
        )
    sides = [{unit_N[row] for row in rows} for rows in (division.train, division.held_out, division.test)]
    if division.held_out is division.test:
        sides.pop()
    for number, one in enumerate(sides):
        for other in sides[number + 1 :]:
            if both := sorted(one & other):
                raise TrainableError(
                    f"[validation] units is {name!r}, but ctx.split() put cases of {name} {both[0]} on both sides; "
                    "pass groups= whose cases belong together, e.g. the patients"
                )


def _check_nested(unit_N: tuple[str, ...], group_N: npt.NDArray[np.int64], name: str) -> None:
    seen: dict[str, int] = {}
    for unit, group in zip(unit_N, group_N.tolist(), strict=True):
        if seen.setdefault(unit, group) != group:
            raise TrainableError(
                f"[validation] units is {name!r}, but {name} {unit} has cases of several groups of ctx.split(); a unit "
                "must lie within one group"
            )


def _firsts(unit_N: npt.NDArray[np.int64], units: int) -> npt.NDArray[np.int64]:
    """Returns the row of each unit's first case (U,)."""
    first_U = np.full(units, len(unit_N), dtype=np.int64)
    np.minimum.at(first_U, unit_N, np.arange(len(unit_N)))
    return first_U


def _together(
    probability_NC: npt.NDArray[np.float64], unit_N: npt.NDArray[np.int64], units: int, aggregate: Aggregate
) -> npt.NDArray[np.float64]:
    """Returns the probabilities of units (U, C); see `by_unit`."""
    classes = probability_NC.shape[1]
    if aggregate == "max":
        most_UC = np.full((units, classes), -np.inf)
        np.maximum.at(most_UC, unit_N, probability_NC)
        total_U1 = most_UC.sum(axis=1, keepdims=True)
        return np.asarray(most_UC / np.where(total_U1 > 0, total_U1, 1), dtype=np.float64)
    sum_UC = np.zeros((units, classes))
    np.add.at(sum_UC, unit_N, probability_NC)
    return np.asarray(sum_UC / np.bincount(unit_N, minlength=units)[:, None], dtype=np.float64)


def _is_constant(column: tuple[str, ...], unit_N: npt.NDArray[np.int64], first_U: npt.NDArray[np.int64]) -> bool:
    """Whether a column has one text for all cases of each unit."""
    return all(column[first_U[unit]] == text for unit, text in zip(unit_N, column, strict=True))
