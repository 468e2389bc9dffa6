"""A trial as plain values, and the order of trials by value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from hpo.core.records import Value
from hpo.stats.fronts import fronts_of, losses_of, spread_first
from hpo.study.objective import SECONDS
from hpo.study.schema import Study

TIMING = "lag = false: depends on timing"
BY_SECONDS = "cost = seconds: proposals depend on how long trainings take"
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
        vector: values of all objectives, in the order of the study; empty with one objective, or without a value.
        optuna: exact version of Optuna that proposed it; None: unknown, or it was imported.
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
    vector: tuple[float, ...] = ()
    optuna: str | None = None

    def plain(self) -> dict[str, object]:
        """Returns it as plain values for JSON."""
        return {name: value for name, value in asdict(self).items() if value or name not in ("vector", "optuna")}

    @property
    def is_feasible(self) -> bool:
        """Whether it satisfies all constraints."""
        return all(value <= 0 for value in self.constraints.values())


def sort_best_first(trials: Sequence[Trial], study: Study) -> list[Trial]:
    """Returns the complete feasible trials, the best value first; of equal ones the lower number first.

    With several objectives: those that no other trial dominates first, then those that only these dominate, and so on;
    within a front those with distant neighbors first, see `hpo.stats.fronts.crowding`.
    """
    complete = [one for one in trials if one.state == "complete" and one.value is not None and one.is_feasible]
    if study.objective.others:
        complete.sort(key=lambda trial: trial.number)
        vectors = [one.vector for one in complete]
        return [complete[index] for index in spread_first(losses_of(vectors, study.objective.directions))]
    sign = -1.0 if study.objective.direction == "maximize" else 1.0
    return sorted(complete, key=lambda trial: (sign * (trial.value or 0.0), trial.number))


def incumbent(trials: Sequence[Trial], study: Study) -> Trial | None:
    """Returns the best complete feasible trial; None with several objectives, of which no trial is the best."""
    return None if study.objective.others else next(iter(sort_best_first(trials, study)), None)


def front(trials: Sequence[Trial], study: Study) -> list[Trial]:
    """Returns the complete feasible trials that no other one dominates, by number; empty with one objective."""
    known = sort_best_first(trials, study) if study.objective.others else []
    fronts = fronts_of(losses_of([one.vector for one in known], study.objective.directions)) if known else []
    found = [one for one, place in zip(known, fronts, strict=True) if place == 1]
    return sorted(found, key=lambda trial: trial.number)


def not_reproducible(trials: Sequence[Trial], study: Study) -> tuple[str, ...]:
    """Returns why the trials of a search may not follow from its seeds; empty if they do, as far as known.

    Args:
        trials: trials of the search.
        study: the study that was searched.
    """
    found = dict.fromkeys([TIMING] * (study.lag is False))
    if study.search.cost == SECONDS:
        found[BY_SECONDS] = None
    elif study.search.cost in study.objective.ignore:
        found[f"{study.search.cost} is the cost, and differs between any two trainings"] = None
    for name in study.objective.metrics:
        if name in study.objective.ignore:
            found[f"{name} is an objective, and differs between any two trainings"] = None
    for one in trials:
        found |= dict.fromkeys(one.not_reproducible.split("; ") if one.not_reproducible else ())
    return tuple(found)
