"""The options of samplers and pruners as data: names, types, bounds and defaults of the pinned Optuna.

The study layer does not know Optuna; a test compares these tables with its signatures and checks. Seeds, which hpo
sets, deprecated options, and what a file cannot express (functions, other samplers) are left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from hpo.core.errors import UsageError, did_you_mean
from hpo.core.installed import install_line
from hpo.core.optional_torch import require_torch
from hpo.study.table import Finite, Table

MOST = 1_000_000
"""Largest allowed number; a larger one is probably a typo."""

Count = Annotated[int, Field(ge=0, le=MOST)]
Positive = Annotated[int, Field(ge=1, le=MOST)]
Several = Annotated[int, Field(ge=2, le=MOST)]
Share = Annotated[Finite, Field(ge=0, le=1)]


def _not_auto(given: object) -> object:
    if given == "auto":
        raise ValueError("auto depends on which trial ends first; leave it out, then it follows from the budget")
    return given


Resource = Annotated[Positive, BeforeValidator(_not_auto)]


class NoOptions(Table):
    """The options of samplers and pruners that have none."""


class TpeOptions(Table):
    """Options of `optuna.samplers.TPESampler`."""

    n_startup_trials: Count = 10
    n_ei_candidates: Positive = 24
    multivariate: bool | None = None
    group: bool = False
    constant_liar: bool = True

    @model_validator(mode="after")
    def _groups_are_multivariate(self) -> TpeOptions:
        if self.group and self.multivariate is False:
            raise ValueError("group needs multivariate; leave multivariate out or set it true")
        return self


class GpOptions(Table):
    """Options of `optuna.samplers.GPSampler`."""

    n_startup_trials: Count = 10
    deterministic_objective: bool = False


class MixedOptions(Table):
    """Options of `hpo.MixedSampler`."""

    n_startup_trials: Count = 20


class CmaEsOptions(Table):
    """Options of `optuna.samplers.CmaEsSampler`."""

    n_startup_trials: Count = 1
    popsize: Annotated[int, Field(ge=4, le=MOST)] | None = None
    consider_pruned_trials: bool = False
    use_separable_cma: bool = False
    with_margin: bool = False
    lr_adapt: bool = False

    @model_validator(mode="after")
    def _go_together(self) -> CmaEsOptions:
        chosen = [name for name in ("use_separable_cma", "with_margin", "lr_adapt") if getattr(self, name)]
        if len(chosen) > 1:
            raise ValueError(f"{' and '.join(chosen)} exclude each other; keep one")
        return self


class QmcOptions(Table):
    """Options of `optuna.samplers.QMCSampler`."""

    qmc_type: Literal["sobol", "halton"] = "sobol"
    scramble: bool = False


class NsgaiiOptions(Table):
    """Options of `optuna.samplers.NSGAIISampler`."""

    population_size: Several = 50
    mutation_prob: Share | None = None
    crossover_prob: Share = 0.9
    swapping_prob: Share = 0.5


class NsgaiiiOptions(NsgaiiOptions):
    """Options of `optuna.samplers.NSGAIIISampler`."""

    dividing_parameter: Positive = 3


class MedianOptions(Table):
    """Options of `optuna.pruners.MedianPruner`."""

    n_startup_trials: Count = 5
    n_warmup_steps: Count = 0
    interval_steps: Positive = 1
    n_min_trials: Positive = 1


class PercentileOptions(MedianOptions):
    """Options of `optuna.pruners.PercentilePruner`."""

    percentile: Annotated[Finite, Field(ge=0, le=100)]


class HyperbandOptions(Table):
    """Options of `optuna.pruners.HyperbandPruner`; `max_resource` defaults to the budget."""

    min_resource: Resource = 1
    max_resource: Resource | None = None
    reduction_factor: Several = 3
    bootstrap_count: Count = 0


class SuccessiveHalvingOptions(Table):
    """Options of `optuna.pruners.SuccessiveHalvingPruner`; `min_resource` defaults to a hundredth of the budget."""

    min_resource: Resource | None = None
    reduction_factor: Several = 4
    min_early_stopping_rate: Count = 0
    bootstrap_count: Count = 0


class ThresholdOptions(Table):
    """Options of `optuna.pruners.ThresholdPruner`."""

    lower: Finite | None = None
    upper: Finite | None = None
    n_warmup_steps: Count = 0
    interval_steps: Positive = 1

    @model_validator(mode="after")
    def _bounds_something(self) -> ThresholdOptions:
        if self.lower is None and self.upper is None:
            raise ValueError("threshold needs lower, upper or both")
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            raise ValueError(f"lower {self.lower} is above upper {self.upper}")
        return self


class PatientOptions(Table):
    """Options of `optuna.pruners.PatientPruner`; the wrapped pruner has a name (`none`: no pruner) and options."""

    patience: Count
    min_delta: Annotated[Finite, Field(ge=0)] = 0.0
    wrapped: Literal["none", "median", "percentile", "hyperband", "successive-halving", "threshold"] = "median"
    wrapped_options: dict[str, object] = Field(default_factory=dict)


PLUGIN = r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*"
"""Matches `module:Class`, any other sampler or pruner of Optuna's kind."""


def _named(known: Mapping[str, object]) -> tuple[BeforeValidator, WithJsonSchema]:
    """Returns the check of a name, and its JSON schema.

    Args:
        known: the names; besides them `module:Class` is allowed.
    """

    def check(given: object) -> object:
        if given in list(known) or (isinstance(given, str) and re.fullmatch(PLUGIN, given)):
            return given
        wanted = ", ".join(map(repr, known))
        hint = did_you_mean(given, known) if isinstance(given, str) else ""
        raise ValueError(f"expected {wanted} or 'module:Class', got {given!r}" + (f".{hint}" if hint else ""))

    return BeforeValidator(check), WithJsonSchema({"anyOf": [{"enum": list(known)}, {"pattern": f"^{PLUGIN}$"}]})


SAMPLERS: Mapping[str, type[Table]] = {
    "tpe": TpeOptions,
    "tpe+gp": MixedOptions,
    "random": NoOptions,
    "gp": GpOptions,
    "cmaes": CmaEsOptions,
    "qmc": QmcOptions,
    "grid": NoOptions,
    "nsgaii": NsgaiiOptions,
    "nsgaiii": NsgaiiiOptions,
}
SamplerName = Annotated[str, *_named(SAMPLERS)]

PRUNERS: Mapping[str, type[Table]] = {
    "none": NoOptions,
    "median": MedianOptions,
    "percentile": PercentileOptions,
    "hyperband": HyperbandOptions,
    "successive-halving": SuccessiveHalvingOptions,
    "patient": PatientOptions,
    "threshold": ThresholdOptions,
}
PrunerName = Annotated[str, *_named(PRUNERS)]

DEFAULT_SAMPLER = "tpe+gp"
"""The sampler of studies that name none: the one that finds better configurations at the same number of trainings."""

CONSTRAINED = ("tpe", "tpe+gp", "gp", "nsgaii", "nsgaiii")
"""Samplers that take constraints into account."""


def non_defaults(table: type[Table] | None, options: Mapping[str, object]) -> dict[str, object]:
    """Checks options and returns those that differ from their defaults; all of them, if there is no table.

    Raises:
        pydantic.ValidationError: if one of them is unknown or has a wrong value.
    """
    if table is None:  # `module:Class`, whose options are checked when it is imported
        return dict(options)
    return table.model_validate(options).model_dump(exclude_defaults=True)


def require_package(sampler: str) -> None:
    """Checks that the package of a sampler is installed.

    Args:
        sampler: name of the sampler in a study file.

    Raises:
        UsageError: if it is not installed.
    """
    if sampler == "gp":
        require_torch("sampler 'gp'")
    if sampler == "cmaes" and find_spec("cmaes") is None:
        raise UsageError(f"sampler 'cmaes' needs the package cmaes; install it with: {install_line('cmaes')}")
