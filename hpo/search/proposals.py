"""Optuna's samplers and pruners by the names in study files, and the space as Optuna's distributions."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    PatientPruner,
    PercentilePruner,
    SuccessiveHalvingPruner,
    ThresholdPruner,
)
from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    GPSampler,
    GridSampler,
    NSGAIIISampler,
    NSGAIISampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)
from optuna.trial import BaseTrial, FrozenTrial, TrialState

from hpo.core.records import Value
from hpo.search.median import ColumnMedianPruner
from hpo.search.mixed import MixedSampler
from hpo.search.transfer import Transfer
from hpo.seeds.derived import Purpose, derive_seed
from hpo.study import PRUNERS, Study, non_defaults
from hpo.study.plugins import is_plugin, make_plugin, plugin_class
from hpo.study.space import Choice, Float, Int, Space, holds, points


class _Grid(GridSampler):
    """A grid sampler that lets the source end the search; Optuna's own can only do so within `optimize`."""

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Does nothing."""


def make_sampler(study: Study, number: int, transfer: Transfer | None = None) -> BaseSampler:
    """Returns the sampler that proposes trial `number`; `transfer` has the old studies that the search starts from.

    It is made anew for each trial with a seed of its own, so that nothing in the object has to survive a crash. What a
    sampler remembers it keeps with the study and its trials: `cmaes` its optimizer and `nsgaii` a trial's generation in
    the trials' attributes, `nsgaii` the parents of a generation and `qmc` its place in the sequence in the study's.
    `qmc` and `grid` follow one sequence, so that their seed is the same for all trials.
    """
    seed, fixed = (derive_seed(study.sampler_seed, Purpose.SAMPLER, one) for one in (number, 0))
    options = study.sampler_options
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # who names an option wants it; the version is pinned
        match study.search.sampler:
            case "tpe":
                return TPESampler(seed=seed, **options)
            case "tpe+gp":
                return MixedSampler(seed=seed, transfer=transfer, **options)
            case "random":
                return RandomSampler(seed=seed)
            case "gp":
                return GPSampler(seed=seed, warn_independent_sampling=False, **options)
            case "cmaes":
                return CmaEsSampler(seed=seed, warn_independent_sampling=False, **options)
            case "qmc":
                independent = RandomSampler(seed=seed)
                return QMCSampler(
                    seed=fixed, independent_sampler=independent, warn_independent_sampling=False, **options
                )
            case "grid":
                return _Grid({name: points(dimension) for name, dimension in study.space.items()}, seed=fixed)
            case "nsgaii":
                return NSGAIISampler(seed=seed, **options)
            case "nsgaiii":
                return NSGAIIISampler(seed=seed, **options)
            case plugin:
                made: BaseSampler = make_plugin("sampler", plugin, options, study.root, seed)
                return made


REBUILT = (TPESampler, RandomSampler, GPSampler, CmaEsSampler, NSGAIISampler, NSGAIIISampler, MixedSampler)
"""Classes whose objects remember nothing that they need. Another plug-in's one object proposes all trials, as with
Optuna alone, and a resumed search lets it propose the earlier trials again."""


def is_kept(study: Study) -> bool:
    """Whether one object of the sampler proposes all trials.

    Args:
        study: the study that names the sampler.
    """
    name = study.search.sampler
    return is_plugin(name) and plugin_class("sampler", name, study.root) not in REBUILT


def make_pruner(study: Study, number: int = 0) -> BasePruner:
    """Returns the study's pruner.

    Args:
        study: the study that names the pruner.
        number: number of the trial that it decides on, of which the seed of a plug-in is made.
    """
    if is_plugin(name := study.search.pruner):
        seed = derive_seed(study.sampler_seed, Purpose.PRUNER, number)
        made: BasePruner = make_plugin("pruner", name, study.pruner_options, study.root, seed)
        return made
    return _pruner(study.search.pruner, study.pruner_options, study.steps)


def _pruner(name: str, options: Mapping[str, Any], steps: int) -> BasePruner:
    """Returns a pruner.

    Resources that Optuna would guess from the first trial that ends, and keep in the object, follow from the number
    of steps: `max_resource` is the last one and `min_resource` a hundredth of it, as Optuna's guess would be.
    """
    if name == "patient":
        inner = options.get("wrapped", "median")
        checked = non_defaults(PRUNERS[inner], options.get("wrapped_options", {}))
        wrapped = None if inner == "none" else _pruner(inner, checked, steps)
        own = {key: value for key, value in options.items() if not key.startswith("wrapped")}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return PatientPruner(wrapped, **own)
    if name == "median" and not options:
        return ColumnMedianPruner()  # the default, and quick for many trials
    make: Callable[..., BasePruner] = _PRUNERS[name]
    defaults = {"hyperband": {"max_resource": steps}, "successive-halving": {"min_resource": max(1, steps // 100)}}
    return make(**{**defaults.get(name, {}), **options})


_PRUNERS: Mapping[str, Callable[..., BasePruner]] = {
    "none": NopPruner,
    "median": MedianPruner,
    "percentile": PercentilePruner,
    "hyperband": HyperbandPruner,
    "successive-halving": SuccessiveHalvingPruner,
    "threshold": ThresholdPruner,
}


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """Returns Optuna's distributions by param, those that `suggest` asks for."""
    found: dict[str, BaseDistribution] = {}
    for name, dimension in space.items():
        match dimension:
            case Float(low=low, high=high, log=log, step=step):
                found[name] = FloatDistribution(low, high, log=log, step=step)
            case Int(low=first, high=last, log=log, step=every):
                found[name] = IntDistribution(first, last, log=log, step=every or 1)
            case Choice(values=values):
                found[name] = CategoricalDistribution(values)
    return found


def suggest(trial: BaseTrial, space: Space) -> dict[str, Value]:
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
