"""How noisy the first values of a search are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib import import_module

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial
from threadpoolctl import threadpool_limits

from hpo.search.learned import FEWEST, has_value, in_range
from hpo.search.mixed import ONE_AT_A_TIME
from hpo.search.units import UnitSpace


def contrast_of(trials: Sequence[FrozenTrial], direction: str) -> float | None:
    """Returns how far the best value lies above the median, in standard deviations of the noise; None: too few values.

    The noise is that of the Gaussian process that is likeliest given the values. Trials without a value are left out,
    and values below the first quartile count as that, as for the sampler.

    Args:
        trials: the finished trials, by number.
        direction: direction of the objective, `maximize` or `minimize`.
    """
    likeliest = import_module("hpo.search.gaussian").likeliest  # half a second to load, for a split total alone
    sign = 1.0 if direction == "maximize" else -1.0
    over = [trial for trial in trials if trial.params and has_value(trial)]
    space: dict[str, BaseDistribution] = {}
    for trial in over:
        space.update(trial.distributions)
    if len(over) < FEWEST or not space:
        return None
    good = np.array(list(in_range({trial.number: sign * trial.values[0] for trial in over}).values()))
    raw = np.maximum(good, np.quantile(good, 0.25))
    values = (raw - raw.mean()) / (raw.std() or 1.0)
    form = UnitSpace(dict(sorted(space.items())), over)
    points = form.points(form.units([trial.params for trial in over]))
    with ONE_AT_A_TIME, threadpool_limits(limits=1, user_api="blas"):  # no bit may depend on the number of cores
        noise = math.exp(likeliest(points, values)[-1])
    return float((values.max() - np.median(values)) / math.sqrt(noise))
