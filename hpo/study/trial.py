"""A trial as plain values, and the order of trials by value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hpo.core.records import Value
from hpo.study.schema import Study

TIMING = "lag = false: depends on timing"
"""Why a search without a lag is not reproducible."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One trial: its params, state and values.

    Attributes:
        number: number of the trial, as in Optuna.
        state: complete, pruned, failed, running or waiting; imported if it comes from another study.
        params: values of the params by name.
        value: value of the objective; for a pruned trial, the value that it was pruned at.
        values: value of the objective by step.
        constraints: metrics that must be 0 or less, by name.
        origin: source of its params; None: the sampler.
        error: why the trial failed.
        started: start time as ISO text, local time without a zone, as Optuna gives it.
        ended: end time in the same form; None while it is running.
        code: digest of the code that it was trained with; None: unknown.
        not_reproducible: why its params or its pruning may not follow from the seeds; None: they do, as far as known.
    """

    number: int
    state: str
    params: Mapping[str, Value]
    value: float | None
    values: Mapping[int, float]
    error: str | None
    started: str | None
    ended: str | None
    constraints: Mapping[str, float] = field(default_factory=dict)
    origin: str | None = None
    code: str | None = None
    not_reproducible: str | None = None

    @property
    def is_feasible(self) -> bool:
        """Whether it satisfies all constraints."""
        return all(value <= 0 for value in self.constraints.values())


def sort_best_first(trials: Sequence[Trial], study: Study) -> list[Trial]:
    """Returns the complete feasible trials, the best value first; of equal ones the lower number first."""
    sign = -1.0 if study.objective.direction == "maximize" else 1.0
    complete = [one for one in trials if one.state == "complete" and one.value is not None and one.is_feasible]
    return sorted(complete, key=lambda trial: (sign * (trial.value or 0.0), trial.number))


def incumbent(trials: Sequence[Trial], study: Study) -> Trial | None:
    """Returns the best complete feasible trial."""
    return next(iter(sort_best_first(trials, study)), None)


def not_reproducible(trials: Sequence[Trial], study: Study) -> tuple[str, ...]:
    """Returns why the trials of a search may not follow from its seeds; empty if they do, as far as known.

    Args:
        trials: trials of the search.
        study: the study that was searched.
    """
    found = dict.fromkeys([TIMING] * (study.lag is False))
    for one in trials:
        found |= dict.fromkeys(one.not_reproducible.split("; ") if one.not_reproducible else ())
    return tuple(found)
