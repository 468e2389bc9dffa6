"""The first trials of `tpe+gp`: spread more evenly than independent draws are."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from hpo.search.units import value

if TYPE_CHECKING:
    from hpo.search.gaussian import Array

TRIALS, PARAMS = 64, 32
"""Size of the design; a search that needs more of it draws the rest independently."""


def designed(seed: int, number: int, place: int, distribution: BaseDistribution) -> Any:
    """Returns the value of a param in one of the first trials: a point of a scrambled Sobol sequence.

    Source: Owen, "Scrambling Sobol' and Niederreiter-Xing points", 1998.

    Args:
        seed: seed of the sequence, the same for all trials of a search.
        number: number of the trial, below `TRIALS`.
        place: number of params that the trial has already, below `PARAMS`.
        distribution: distribution of the param.
    """
    at = float(_sequence(seed)[number, place])
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(at * len(distribution.choices))]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    if distribution.step is None or distribution.log:
        return value(distribution, at)
    count = round((distribution.high - distribution.low) / distribution.step) + 1
    return value(distribution, int(at * count) / max(1, count - 1))


@lru_cache(maxsize=8)
def _sequence(seed: int) -> Array:
    """Returns the design (TRIALS, PARAMS), numbers from 0 to below 1."""
    from scipy.stats import qmc  # half a second to load, for this sampler alone

    found: Array = qmc.Sobol(PARAMS, scramble=True, seed=seed).random(TRIALS)
    return found
