"""A trial, whatever Optuna calls it, and which of a search's trials is the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hpo.core.records import Value
from hpo.study.schema import Study


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One configuration the sampler proposed, and how it stands.

    Attributes:
        number: as in Optuna.
        state: complete, pruned, failed, running or waiting; imported if it was another study's.
        params: one assignment of the space.
        value: of the objective; of a pruned trial the one it was refused for.
        values: the objective's value by step.
        constraints: metrics that must be 0 or less, by name.
        origin: where its params are from, if not from the sampler.
        error: why it failed.
        started: ISO text, local time without a zone, as Optuna gives it.
        ended: in the same form; None while it is running.
        code: digest of the code that it was trained with; None where it is not known.
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

    @property
    def is_feasible(self) -> bool:
        """Whether it keeps all constraints."""
        return all(value <= 0 for value in self.constraints.values())


def sort_best_first(trials: Sequence[Trial], study: Study) -> list[Trial]:
    """Returns the complete trials that keep all constraints, the best value first; of equal ones the lower number."""
    sign = -1.0 if study.objective.direction == "maximize" else 1.0
    complete = [one for one in trials if one.state == "complete" and one.value is not None and one.is_feasible]
    return sorted(complete, key=lambda trial: (sign * (trial.value or 0.0), trial.number))


def incumbent(trials: Sequence[Trial], study: Study) -> Trial | None:
    """Returns the best complete trial."""
    return next(iter(sort_best_first(trials, study)), None)
