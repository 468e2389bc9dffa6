"""A finished Optuna study and its objective function, as a study whose candidates are trained again."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from hpo.core.errors import NothingToPromote, UsageError
from hpo.core.records import Objective, Value
from hpo.core.redaction import masked
from hpo.core.texts import as_identifier, study_name
from hpo.search.imports import LeftOut
from hpo.study import FIRST_EXTERNAL, ExternalTrial, Origin, Study
from hpo.study.space import Choice, Dimension, Float, Int, choice_value
from hpo.training.context import Context
from hpo.training.trial import ReturningTrial

OptunaStudy = optuna.Study
"""Type of a study of Optuna's own, for annotations in packages that do not import Optuna."""

Best = tuple[tuple[ExternalTrial, ...], tuple[LeftOut, ...]]
"""Complete trials, and those that cannot be trained again, both with the best value first."""


def is_optuna_study(given: object) -> bool:
    """Whether this is a study of Optuna's own."""
    return isinstance(given, optuna.Study)


def study_of(
    found: optuna.Study, objective: Callable[..., Any], seeds: Sequence[int], top: int, name: str | None
) -> Study:
    """Returns a study that trains an objective function again.

    Args:
        found: the finished Optuna study.
        objective: the function that it optimized, as `objective(trial)` or `objective(trial, seed)`.
        seeds: seeds of the replicates.
        top: number of candidates.
        name: name of the new study; None: that of the Optuna study, or of the function where Optuna made one up.

    Raises:
        NothingToPromote: if no trial has completed.
        UsageError: if the study has several objectives, or the function takes other arguments.
    """
    if len(found.directions) != 1:
        raise UsageError(f"study {found.study_name!r} has {len(found.directions)} objectives; expected 1")
    if not any(trial.state is TrialState.COMPLETE for trial in found.trials):
        raise NothingToPromote(f"study {found.study_name!r} has no completed trial to promote")
    metric = (found.metric_names or ["value"])[0]
    maximize = found.direction is optuna.study.StudyDirection.MAXIMIZE
    made_up = found.study_name.startswith("no-name-")
    own: str = getattr(_function_of(objective), "__name__", "objective") if made_up else found.study_name
    return Study(
        name=name or study_name(own),
        trainable=trainable_of(objective),
        objective=Objective(metric=metric, direction="maximize" if maximize else "minimize", epoch="last"),
        space=_space(found.trials),
        search={"budget": 1},
        promotion={"seeds": list(seeds), "top": top},
    )


def best_of(found: optuna.Study, study: Study) -> Best:
    """Returns the trials of a finished Optuna study, of equal params only the first, and those that cannot be trained.

    Args:
        found: the finished Optuna study.
        study: what `study_of` made of it.

    Raises:
        NothingToPromote: if no complete trial can be trained again.
    """
    storage = found._storage
    rdb = getattr(storage, "_backend", storage)
    source = masked(rdb.url) if isinstance(rdb, RDBStorage) else "this session"
    sign = -1.0 if study.objective.direction == "maximize" else 1.0
    complete = [
        trial
        for trial in found.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if trial.values and math.isfinite(trial.values[0]) and all(one <= 0 for one in trial.constraints.values())
    ]
    made: list[ExternalTrial] = []
    left_out: list[LeftOut] = []
    for trial in sorted(complete, key=lambda one: (sign * one.values[0], one.number)):
        origin = Origin(tool="Optuna", source=source, study=found.study_name, trial=trial.number)
        if reason := _unusable(trial.params):
            left_out.append(LeftOut(origin=origin, value=trial.values[0], reason=reason))
            continue
        values = {name: choice_value(value) for name, value in trial.params.items()}
        params = {as_identifier(name): value for name, value in values.items() if value is not None}
        if all(params != one.params for one in made):
            made.append(_external(origin, trial, params))
    if not made:
        why = f"; the first: {left_out[0].reason}" if left_out else ""
        raise NothingToPromote(f"no completed trial of study {found.study_name!r} can be promoted{why}")
    return tuple(made), tuple(left_out)


def trainable_of(objective: Callable[..., Any]) -> Callable[..., Any]:
    """Returns an Optuna objective as a trainable; what it reports at steps is not compared, for nothing is pruned.

    Args:
        objective: `objective(trial)` or `objective(trial, seed)`.

    Raises:
        UsageError: if it takes other arguments.
    """
    if not callable(objective) or isinstance(objective, type):
        raise UsageError("objective must be a function, objective(trial) or objective(trial, seed)")
    own = _function_of(objective)
    arguments = inspect.signature(objective).parameters.values()
    needed = [one.name for one in arguments if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD]
    if needed[1:] not in ([], ["seed"]) or not needed:
        raise UsageError(
            f"{own.__name__}({', '.join(needed)}) cannot be called; expected objective(trial) or objective(trial, seed)"
        )

    def train(params: dict[str, Any], ctx: Context) -> Mapping[str, object] | None:
        return ReturningTrial(params, ctx).train(objective)

    train.__module__ = own.__module__  # so that the code is that of the user's project
    train.__qualname__ = f"{own.__name__}.<locals>.train"
    return train


def _function_of(objective: Callable[..., Any]) -> Any:
    """Returns the function or the class whose name and module an objective has, which may be an object with arguments.

    Args:
        objective: a function, a method, a `functools.partial`, or an object with a method `__call__`.
    """
    while isinstance(objective, partial):
        objective = objective.func
    return objective if hasattr(objective, "__name__") else type(objective)


def _unusable(params: Mapping[str, object]) -> str | None:
    """Returns why a study cannot have these params; None: it can."""
    for name, value in params.items():
        if choice_value(value) is None:
            return f"{name}: expected a number, a text, None or a list, got {value!r}"
        if others := [one for one in params if one != name and as_identifier(one) == as_identifier(name)]:
            return f"{name} and {others[0]}: a study has both as {as_identifier(name)}, so give one another name"
    return None


def _external(origin: Origin, trial: FrozenTrial, params: Mapping[str, Value]) -> ExternalTrial:
    began, ended = trial.datetime_start, trial.datetime_complete
    return ExternalTrial(
        number=FIRST_EXTERNAL,
        origin=origin,
        params=params,
        value=trial.values[0],
        reports=len(trial.intermediate_values),
        started=began.isoformat() if began else None,
        ended=ended.isoformat() if ended else None,
    )


def _space(trials: Sequence[FrozenTrial]) -> dict[str, Dimension]:
    """Returns the dimensions that any trial had; where they differ between trials, the widest range."""
    found: dict[str, list[BaseDistribution]] = {}
    for trial in trials:
        for name, distribution in trial.distributions.items():
            found.setdefault(as_identifier(name), []).append(distribution)
    made = {name: _dimension(several) for name, several in found.items()}
    return {name: dimension for name, dimension in made.items() if dimension is not None}


def _dimension(several: Sequence[BaseDistribution]) -> Dimension | None:
    if all(isinstance(one, IntDistribution) for one in several):
        return Int(min(one.low for one in several), max(one.high for one in several))  # type: ignore[attr-defined]
    if all(isinstance(one, IntDistribution | FloatDistribution) for one in several):
        return Float(min(one.low for one in several), max(one.high for one in several))  # type: ignore[attr-defined]
    choices = [value for one in several if isinstance(one, CategoricalDistribution) for value in one.choices]
    values = list(dict.fromkeys(value for one in choices if (value := choice_value(one)) is not None))
    return Choice(values) if values else None
