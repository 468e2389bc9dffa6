"""Means, sigmas, intervals and comparisons of a few replicates."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hpo.stats.names import Ddof

DECIDABLE = 5
"""Minimum pairs for a sign test to be significant if all signs agree: 2^-4 > 0.05 >= 2^-5."""


def c4(count: int) -> float:
    """Returns E[s] / sigma for n = `count` normal values, where s has ddof 1.

    It is sqrt(2 / (n - 1)) Gamma(n / 2) / Gamma((n - 1) / 2).

    Source: Holtzman, "The unbiased estimate of the population variance and standard deviation", 1950.
    """
    return math.sqrt(2 / (count - 1)) * math.exp(math.lgamma(count / 2) - math.lgamma((count - 1) / 2))


def sigma_error(count: int) -> int | None:
    """Returns the relative standard error of sigma for n = `count` normal values in percent, rounded to 5; None from
    six on.

    It is sqrt(1 - c4^2) / c4: 75 at n = 2, 50 at n = 3.
    """
    if not 2 <= count < 6:
        return None
    return 5 * round(100 * math.sqrt(1 - c4(count) ** 2) / c4(count) / 5)


def sigma_factor(count: int, ddof: Ddof) -> float:
    """Returns the ratio of sigma under `ddof` to sigma under ddof 0, for `count` values."""
    if ddof == 0:
        return 1.0
    return math.sqrt(count / (count - 1)) / (c4(count) if ddof == "unbiased" else 1.0)


def sigma(values: Sequence[float], ddof: Ddof) -> float:
    """Returns the standard deviation: sqrt(sum (y - mean)^2 / (n - ddof)), divided by c4(n) if unbiased.

    Args:
        values: (n,) values, at least two unless ddof is 0.
        ddof: 0 divides by n, the convention of the reference table (0.696 +- 0.026); 1 by n - 1.
    """
    if ddof == "unbiased":
        return float(np.std(values, ddof=1)) / c4(len(values))
    return float(np.std(values, ddof=ddof))


def t_quantile(freedom: int, level: float = 0.95) -> float:
    """Returns the two-sided quantile of Student's t."""
    from scipy.special import stdtrit  # importing scipy.stats would take a second

    return float(stdtrit(freedom, (1 + level) / 2))


def t_half_width(values: Sequence[float], level: float = 0.95) -> float:
    """Returns t * s / sqrt(n), with s under ddof 1 and Student's two-sided t of n - 1 degrees of freedom.

    Args:
        values: (n,) values, at least two.
        level: confidence level of the interval.
    """
    return t_quantile(len(values) - 1, level) * sigma(values, 1) / math.sqrt(len(values))


def t_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float] | None:
    """Returns Student's interval of the mean: m +- t * s / sqrt(n), with s under ddof 1; None for a single value.

    At n = 3 it has its nominal coverage (95 %), where a percentile bootstrap covers 67 %.
    """
    if len(values) < 2:
        return None
    half, mean = t_half_width(values, level), float(np.mean(values))
    return mean - half, mean + half


def variation(values: Sequence[float], ddof: Ddof) -> float | None:
    """Returns sigma in percent of the absolute mean; None for a single value or a mean of 0."""
    mean = abs(float(np.mean(values)))
    return 100 * sigma(values, ddof) / mean if mean and len(values) > 1 else None


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Returns the rank correlation of two (n,) samples; None below three pairs, or if one is constant."""
    if len(first) < 3 or len(set(first)) < 2 or len(set(second)) < 2:
        return None
    from scipy.stats import spearmanr

    return float(spearmanr(first, second).statistic)


def outperformance(first: Sequence[float], second: Sequence[float]) -> float:
    """Returns the share of pairs in which the first value is higher; a tie counts half.

    Source: Bouthillier et al., "Accounting for Variance in Machine Learning Benchmarks", 2021, P(A > B).

    Args:
        first: (n,) values of one candidate.
        second: (n,) values of the other, under the same seeds.
    """
    one, other = np.asarray(first, float), np.asarray(second, float)
    return float(np.mean((one > other) + 0.5 * (one == other)))


def outperformance_interval(
    first: Sequence[float], second: Sequence[float], level: float = 0.95, draws: int = 10_000
) -> tuple[float, float]:
    """Returns a percentile bootstrap interval of `outperformance`; the pairs are resampled.

    Source: Bouthillier et al., 2021, appendix C.5.
    """
    one, other = np.asarray(first, float), np.asarray(second, float)
    wins_N = (one > other) + 0.5 * (one == other)
    drawn_DN = np.random.default_rng(0).integers(0, len(wins_N), (draws, len(wins_N)))
    low, high = np.quantile(wins_N[drawn_DN].mean(axis=1), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def pairs_needed(outperformance: float, alpha: float = 0.05, beta: float = 0.05) -> int:
    """Returns the number of pairs needed to distinguish an outperformance from 0.5.

    N = ((z_(1 - alpha) - z_beta) / (sqrt(6) (1 / 2 - P)))^2. Source: Noether, "Sample size determination for some
    common nonparametric tests", 1987; as in Bouthillier et al., 2021: 29 for P = 0.75.

    Args:
        outperformance: P, other than 0.5.
        alpha: probability of a false positive.
        beta: probability of a false negative.
    """
    from scipy.special import ndtri

    return math.ceil(float(((ndtri(1 - alpha) - ndtri(beta)) / (math.sqrt(6) * (0.5 - outperformance))) ** 2))


def chances_of_being_best(samples_KN: Sequence[Sequence[float]], lambda_: float, draws: int = 20_000) -> list[float]:
    """Returns the probability of each of K samples that its mu - lambda * sigma is the highest, given its n values.

    Draws from the posterior under the reference prior p(mu, sigma^2) ~ 1 / sigma^2: first sigma^2 = (n - 1) s^2 / chi^2
    with n - 1 degrees of freedom, then mu ~ N(m, sigma^2 / n). Source: Gelman et al., "Bayesian Data Analysis", section
    3.2. At n = 3 it returns 0.95 where 0.87 is true; from n = 6 on it is calibrated.

    Args:
        samples_KN: values, higher is better; at least two per sample.
        lambda_: weight of sigma.
        draws: number of draws; the error is below 0.4 / sqrt(draws).
    """
    draw = np.random.default_rng(0)  # not the study's seeds: equal values give equal chances everywhere
    scores_KD = np.empty((len(samples_KN), draws))
    for row, values in enumerate(samples_KN):
        count, mean, deviation = len(values), float(np.mean(values)), sigma(values, 1)
        sigmas_D = deviation * np.sqrt((count - 1) / draw.chisquare(count - 1, draws))
        scores_KD[row] = mean + sigmas_D * (draw.standard_normal(draws) / count**0.5 - lambda_)
    best_KD = scores_KD == scores_KD.max(axis=0)
    return [float(share) for share in (best_KD / best_KD.sum(axis=0)).mean(axis=1)]
