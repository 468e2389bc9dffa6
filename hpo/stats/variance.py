"""Estimates the share of each source of randomness in a result's variance: total effects, from few draws."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LEVEL = 0.95
"""The confidence level of all intervals and tests here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """The effect of redrawing one source while all others are fixed.

    Attributes:
        source: name of the stream.
        pairs: number of draws in the estimate.
        sd: standard deviation of the results if only this source is redrawn: sqrt(T).
        interval: confidence interval of the sd; None if no pair differs, because its upper end is unknown then.
        share: T / V, Sobol's total effect; None if V is 0. Shares of interacting sources do not add up to 1.
    """

    source: str
    pairs: int
    sd: float
    interval: tuple[float, float] | None
    share: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """The effects of all sources on a result.

    Attributes:
        count: number of base draws, in which all sources are random.
        mean: mean of their results.
        sd: standard deviation of their results, ddof 1: sqrt(V).
        effects: one per source with at least two pairs, largest first.
        total: sum of all shares; None if V is 0.
        interact: whether the total is significantly above 1, one-sided at 95 %; additive sources sum to 1.
        leader: the source whose effect is significantly larger than the next one's; None if there is none.
    """

    count: int
    mean: float
    sd: float
    effects: tuple[Effect, ...]
    total: float | None
    interact: bool
    leader: str | None


def total_variance(base_N: Sequence[float], redrawn_N: Sequence[float]) -> float:
    """Returns T = mean_i (y_i - y'_i)^2 / 2, where y'_i is y_i with one source redrawn.

    That is E[Var(y | all other sources)]. Source: Jansen, "Analysis of variance designs for model output", 1999;
    Saltelli et al., "Variance based sensitivity analysis of model output", 2010, table 2 (f).
    """
    return float(_halves(base_N, redrawn_N).mean())


def variance_interval(base_N: Sequence[float], redrawn_N: Sequence[float]) -> tuple[float, float] | None:
    """Returns the 95 % interval nu T / chi2_nu of `total_variance`; None where no pair differs.

    For normal differences nu would be n. If sources interact, their spread depends on the other sources, so nu is
    estimated from the halved squares d of the differences: nu = 2 n mean(d)^2 / var(d), at most n. Source:
    Satterthwaite, "An approximate distribution of estimates of variance components", 1946. At n = 10 it covers 95 %
    for additive sources and 82 % for products of normal ones. With n degrees of freedom it would cover 72 % of the
    latter; a percentile bootstrap over the pairs covers 83 % and 66 %.
    """
    from scipy.special import chdtri  # importing scipy.stats would take a second

    halves_N = _halves(base_N, redrawn_N)
    count, mean, spread = len(halves_N), float(halves_N.mean()), float(halves_N.var(ddof=1))
    if mean == 0:
        return None
    freedom = min(count, 2 * count * mean**2 / spread) if spread > 0 else count
    tail = (1 - LEVEL) / 2  # chdtri takes the upper tail
    return freedom * mean / float(chdtri(freedom, tail)), freedom * mean / float(chdtri(freedom, 1 - tail))


def effects_of(base_N: Sequence[float | None], redrawn: Mapping[str, Sequence[float | None]]) -> Effects | None:
    """Returns the effects of all sources; None below two base draws.

    Args:
        base_N: results with all sources random; None for a missing one.
        redrawn: (N,) results of the same draws with one source redrawn, by source.
    """
    known = [value for value in base_N if value is not None]
    if len(known) < 2:
        return None
    variance = float(np.var(known, ddof=1))
    found = []
    for source, redrawn_N in redrawn.items():
        pairs = [(a, b) for a, b in zip(base_N, redrawn_N, strict=True) if a is not None and b is not None]
        if len(pairs) < 2:
            continue
        ours, theirs = [a for a, _ in pairs], [b for _, b in pairs]
        total, interval = total_variance(ours, theirs), variance_interval(ours, theirs)
        found.append(
            Effect(
                source=source,
                pairs=len(pairs),
                sd=math.sqrt(total),
                interval=(math.sqrt(interval[0]), math.sqrt(interval[1])) if interval else None,
                share=total / variance if variance else None,
            )
        )
    found.sort(key=lambda effect: -effect.sd)
    base_M, halves_SM = _whole(base_N, [redrawn[effect.source] for effect in found])
    return Effects(
        count=len(known),
        mean=float(np.mean(known)),
        sd=math.sqrt(variance),
        effects=tuple(found),
        total=sum(effect.share or 0.0 for effect in found) if variance else None,
        interact=_interact(base_M, halves_SM),
        leader=found[0].source if found and _leads(halves_SM) else None,
    )


def _halves(base_N: Sequence[float], redrawn_N: Sequence[float]) -> Floats:
    halves: Floats = (np.asarray(base_N, float) - np.asarray(redrawn_N, float)) ** 2 / 2
    return halves


def _whole(base_N: Sequence[float | None], redrawn_SN: Sequence[Sequence[float | None]]) -> tuple[Floats, Floats]:
    """Returns the M draws with all results: (M,) base results and (S, M) halved squares."""
    rows = [row for row in zip(base_N, *redrawn_SN, strict=True) if None not in row]
    base_M = np.array([row[0] for row in rows], float)
    redrawn_SM = np.array([row[1:] for row in rows], float).reshape(len(rows), len(redrawn_SN)).T
    return base_M, (base_M - redrawn_SM) ** 2 / 2


def _interact(base_M: Floats, halves_SM: Floats) -> bool:
    """Whether sum_j T_j > V significantly; without interactions they are equal, with them the sum is larger.

    At n = 10 it holds for 5 % of additive results, and for 37 % of those whose shares sum to 1.9.
    """
    if len(halves_SM) < 2 or len(base_M) < 3:
        return False
    count, centred_M = len(base_M), base_M - base_M.mean()
    totals_M = (halves_SM.sum() - halves_SM.sum(axis=0)) / (count - 1)
    variances_M = ((centred_M**2).sum() - centred_M**2 * count / (count - 1)) / (count - 2)  # each without one draw
    variance = base_M.var(ddof=1)
    if not (totals_M > 0).all() or not (variances_M > 0).all():
        return False
    return _is_above_one(halves_SM.mean(axis=1).sum() / variance, totals_M / variances_M, LEVEL)


def _leads(halves_SM: Floats) -> bool:
    """Whether the first source's effect is significantly larger than the second's, two-sided at 95 %."""
    if not halves_SM.size or not halves_SM[0].any():
        return False
    if len(halves_SM) == 1 or not halves_SM[1].any():
        return True
    if halves_SM.shape[1] < 3:
        return False
    sums_SM = halves_SM.sum(axis=1, keepdims=True) - halves_SM
    if not (sums_SM[:2] > 0).all():
        return False
    first, second = halves_SM[0].sum(), halves_SM[1].sum()
    return _is_above_one(first / second, sums_SM[0] / sums_SM[1], (1 + LEVEL) / 2)


def _is_above_one(ratio: float, without_M: Floats, quantile: float) -> bool:
    """Whether a ratio is significantly above 1, by the jackknife standard error of its logarithm and Student's t.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, eq. 11.5.

    Args:
        ratio: ratio over all draws.
        without_M: ratios with each draw left out.
        quantile: quantile level of Student's t.
    """
    from scipy.special import stdtrit

    logs_M, count = np.log(without_M), len(without_M)
    error = math.sqrt((count - 1) / count * float(((logs_M - logs_M.mean()) ** 2).sum()))
    return math.log(ratio) > float(stdtrit(count - 1, quantile)) * error
