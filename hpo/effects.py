"""How much each source of randomness moves a result."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What one source does.

    Attributes:
        source: its name.
        deviation: the standard deviation of the result if only this source is drawn anew.
        interval: of that, 95 %, by the chi-square distribution of n squared differences; exact for normal ones.
        total: its square as a share of the whole variance: the total effect; None where nothing varies.
    """

    source: str
    deviation: float
    interval: tuple[float, float]
    total: float | None


def whole_variance(base: Sequence[float], redrawn: Mapping[str, Sequence[float]]) -> float:
    """Returns the variance with all sources drawn, from all trainings of different draws.

    The mean of (y - y')^2 / 2 over all pairs of results of different draws, which are independent. With no source
    redrawn that is the variance of the base, ddof 1; with S sources it rests on (S + 1)^2 times as many pairs.

    Args:
        base: (n,) results, all sources drawn.
        redrawn: by source, (n,) results with that one drawn again.
    """
    all_DC = np.array([base, *redrawn.values()], float).T
    draws, columns = all_DC.shape
    within = sum(float(np.var(row) * columns**2) for row in all_DC)
    between = float(np.var(all_DC)) * all_DC.size**2 - within
    return between / float(columns**2 * draws * (draws - 1))


def total_effects(base: Sequence[float], redrawn: Mapping[str, Sequence[float]]) -> list[Effect]:
    """Returns the total effect of each source, the largest first.

    T_j = mean of (y_i - y_ij)^2 / 2, where y_ij differs from y_i in source j alone. Source: Jansen, "Analysis of
    variance designs for model output", 1999; Saltelli et al., "Variance based sensitivity analysis of model output",
    2010, table 2(f).

    Args:
        base: (n,) results, all sources drawn.
        redrawn: by source, (n,) results with that one drawn again.

    Raises:
        ValueError: if n is below two, or differs.
    """
    if len(base) < 2 or any(len(values) != len(base) for values in redrawn.values()):
        raise ValueError(f"two draws of each source are the least, and as many of each, not {len(base)}")
    from scipy.stats import chi2

    count, variance = len(base), whole_variance(base, redrawn)
    found = []
    for source, values in redrawn.items():
        squared = float(np.mean((np.asarray(base, float) - np.asarray(values, float)) ** 2)) / 2
        low, high = (math.sqrt(count * squared / float(chi2.ppf(level, count))) for level in (0.975, 0.025))
        total = squared / variance if variance > 0 else None
        found.append(Effect(source=source, deviation=math.sqrt(squared), interval=(low, high), total=total))
    return sorted(found, key=lambda effect: -effect.deviation)
