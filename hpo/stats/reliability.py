"""How far a difference between two sigmas of a few replicates recurs under other seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence

SIGMA_SPREAD = 0.28
"""Standard deviation of the true log sigma between the better configurations of one problem; see `sigma_reliability`.

The median over five problems with 26 to 40 seeds each; it was between 0 and 0.44. `make bench BENCH=reliability` has
those that are drawn or trained here.
"""


def log_sigma_error(count: int) -> float:
    """Returns the standard error of log sigma for n = `count` normal values: sqrt(trigamma((n - 1) / 2)) / 2.

    log s^2 has the variance of the logarithm of a chi-square variable with n - 1 degrees of freedom. Source: Bartlett
    and Kendall, "The statistical analysis of variance-heterogeneity and the logarithmic transformation", 1946.

    Args:
        count: number of values, at least two.
    """
    from scipy.special import polygamma

    return math.sqrt(float(polygamma(1, (count - 1) / 2))) / 2


def sigma_reliability(count: int) -> float:
    """Returns the share of a difference between two candidates' log sigmas that recurs on average under other seeds.

    It is T^2 / (T^2 + E^2), with T = `SIGMA_SPREAD` and E = `log_sigma_error`: 0.16 at n = 3, 0.49 at n = 8.

    Args:
        count: number of replicates of each candidate, at least two.
    """
    true = SIGMA_SPREAD**2
    return true / (true + log_sigma_error(count) ** 2)


def shrunken_sigmas(sigmas: Sequence[float], count: int) -> list[float] | None:
    """Returns each candidate's sigma, moved towards their geometric mean G: G * (sigma / G) ** reliability.

    Args:
        sigmas: sigmas of the candidates, over the same seeds.
        count: number of replicates of each candidate.

    Returns:
        The expected sigmas under other seeds, in the same order; None if fewer than two are given, or one is 0.
    """
    if len(sigmas) < 2 or min(sigmas) <= 0:
        return None
    logs, share = [math.log(sigma) for sigma in sigmas], sigma_reliability(count)
    center = math.fsum(logs) / len(logs)
    return [math.exp(center + share * (log - center)) for log in logs]
