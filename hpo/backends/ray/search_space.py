"""Ray Tune's search spaces as dimensions of a study."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from ray import tune
from ray.tune.search import sample

from hpo.core.records import Value
from hpo.core.texts import shown
from hpo.study.space import Choice, Dimension, Float, Int

KNOWN = "uniform, quniform, loguniform, randint, qrandint, lograndint, choice and grid_search"


def domain(name: str, given: Sequence[Any], keywords: Mapping[str, Any]) -> object:
    """Returns what a function of `ray.tune` gives.

    Args:
        name: name of the function, e.g. `uniform`.
        given: its arguments in order; of `sample_from` none.
        keywords: its further arguments by name.
    """
    if name == "sample_from":
        return tune.sample_from(lambda _: None)
    return getattr(tune, name)(*given, **keywords)


def is_search_space(value: object) -> bool:
    """Whether this is a table that draws at least one of its values.

    Args:
        value: any value of a module.
    """
    return isinstance(value, dict) and any(isinstance(one, sample.Domain) or is_grid(one) for one in value.values())


def is_computed(value: object) -> bool:
    """Whether this is what `tune.sample_from` gives.

    Args:
        value: any value of a search space.
    """
    return isinstance(value, sample.Function)


def is_grid(value: object) -> bool:
    """Whether this is what `tune.grid_search` gives.

    Args:
        value: any value of a search space.
    """
    return isinstance(value, dict) and set(value) == {"grid_search"}


def dimension_of(value: Any) -> Dimension | Value:
    """Returns the dimension or the fixed value that an entry of a search space is.

    Args:
        value: a domain of `ray.tune`, or a value.

    Raises:
        ValueError: if a study has no such thing; the message says what to write instead.
    """
    if isinstance(value, Value):
        return value
    if is_grid(value) or isinstance(value, sample.Categorical):
        values = value["grid_search"] if isinstance(value, Mapping) else value.categories
        odd = [one for one in values if not isinstance(one, Value)]
        if odd:
            raise ValueError(f"expected numbers, texts, True or False, got {shown(odd[0])}; list names of such values")
        return Choice(list(values))
    if isinstance(value, Mapping):
        raise ValueError("is a table of params; hpo has no nested ones: move them up")
    if not isinstance(value, sample.Domain):
        raise ValueError(
            f"expected a number, a text, True or False, got {shown(value)}; let the function have it itself"
        )
    domain: Any = value  # whose methods have no annotations
    sampler = domain.get_sampler()
    step = sampler.q if isinstance(sampler, sample.Quantized) else None
    inner = sampler.sampler if isinstance(sampler, sample.Quantized) else sampler
    log = isinstance(inner, sample.LogUniform)
    if not (log or isinstance(inner, sample.Uniform)) or not isinstance(value, sample.Float | sample.Integer):
        raise ValueError(f"{value.domain_str or type(value).__name__}: hpo has {KNOWN}; use one of these")
    if log and step is not None and (step != 1 or isinstance(value, sample.Float)):
        raise ValueError("hpo has no steps on a logarithmic scale; use loguniform, lograndint or quniform")
    if isinstance(value, sample.Float):
        if step is None:
            return Float(float(value.lower), float(value.upper), log=log)
        low, high = _on_grid(value.lower, value.upper, step)
        return Float(float(low), float(high), step=float(step))
    if step in (None, 1):
        return Int(int(value.lower), int(value.upper) - 1, log=log)  # Ray leaves the upper bound out
    low, high = _on_grid(value.lower, value.upper, step)
    return Int(int(low), int(high), step=int(step) if low < high else None)


def _on_grid(low: float, high: float, step: float) -> tuple[Decimal, Decimal]:
    """Returns the first and the last multiple of a step within bounds."""
    if not math.isfinite(low) or not math.isfinite(high) or step <= 0:
        raise ValueError(f"expected finite bounds and a step above 0, got {low}, {high} and {step}")
    every = Decimal(str(step))
    first = (Decimal(str(low)) / every).to_integral_value(ROUND_CEILING)
    last = (Decimal(str(high)) / every).to_integral_value(ROUND_FLOOR)
    return first * every, last * every
