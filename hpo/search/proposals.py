"""Optuna's samplers and pruners by the names that study files use, and the space as Optuna's distributions."""

from __future__ import annotations

from optuna import Trial
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler

from hpo.records import Value
from hpo.search.median import ColumnMedianPruner
from hpo.seeding import sampler_seed
from hpo.space import Choice, Float, Int, Space, holds
from hpo.study import Study


def make_sampler(study: Study, number: int) -> BaseSampler:
    """Returns the sampler that proposes trial `number`, with a seed of its own."""
    seed = sampler_seed(study.sampler_seed, number)
    if study.search.sampler == "random":
        return RandomSampler(seed=seed)
    return TPESampler(seed=seed)


def make_pruner(study: Study) -> BasePruner:
    """Returns the study's pruner."""
    return NopPruner() if study.search.pruner == "none" else ColumnMedianPruner()


def suggest(trial: Trial, space: Space) -> dict[str, Value]:
    """Returns the params that the sampler proposes; those whose condition fails are left out."""
    params: dict[str, Value] = {}
    for name, dimension in space.items():
        if not holds(dimension.when, params):
            continue
        match dimension:
            case Float(low=low, high=high, log=log, step=step):
                params[name] = trial.suggest_float(name, low, high, log=log, step=step)
            case Int(low=low, high=high, log=log, step=step):
                params[name] = trial.suggest_int(name, low, high, log=log, step=step or 1)
            case Choice(values=values):
                params[name] = trial.suggest_categorical(name, values)  # type: ignore[assignment]  # never None here
    return params
