"""Turns replicates into a score."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from hpo.core.arguments import require_choice, require_number
from hpo.core.errors import UsageError
from hpo.stats.names import DDOFS, Ddof, RuleName
from hpo.stats.statistics import sigma, sigma_factor, t_half_width, t_quantile


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The rule of the score. When minimizing it is mirrored: mean + lambda * sigma, the highest value, ...

    Attributes:
        name: name of the rule.
        lambda_: weight of sigma, used by `mean-std` only.
        ddof: how sigma is estimated, see `Ddof`.

    Examples:
        >>> import hpo
        >>> values = [0.88, 0.90, 0.92]
        >>> round(hpo.Rule().score(values, "maximize"), 3), hpo.Rule(name="min").score(values, "maximize")
        (0.884, 0.88)
    """

    name: RuleName = "mean-std"
    lambda_: float = 1.0
    ddof: Ddof = 0

    def __post_init__(self) -> None:
        require_choice("rule", self.name, get_args(RuleName))
        require_number("lambda", self.lambda_, 0.0)
        if self.ddof not in DDOFS or isinstance(self.ddof, bool):
            raise UsageError(f"ddof must be {', '.join(map(str, DDOFS))}, not {self.ddof!r}")

    @property
    def min_values(self) -> int:
        """The minimum number of values."""
        return 2 if self.name == "lcb" or self.ddof != 0 else 1

    @property
    def needs_sigma(self) -> bool:
        """Whether the score is undefined without a sigma, i.e. for a single value or ignored seeds."""
        return self.name == "lcb" or (self.name == "mean-std" and self.lambda_ > 0)

    def score(self, values: Sequence[float], direction: str) -> float:
        """Returns the score of (n,) values; higher is better when maximizing, lower when minimizing."""
        if self.name == "median":
            return float(np.median(values))
        sign = -1.0 if direction == "maximize" else 1.0
        if self.name == "min":
            return float(min(values) if direction == "maximize" else max(values))
        mean = float(np.mean(values))
        if self.name == "lcb":
            return mean + sign * t_half_width(values)
        return mean if self.name == "mean" else mean + sign * self.lambda_ * sigma(values, self.ddof)

    def bound(self, values: Sequence[float], count: int, direction: str, limit: float | None = None) -> float:
        """Returns the best score that `count` values can have if `values` are known.

        A score m - w * s0 (s0: sigma under ddof 0) is concave in the unknown values and symmetric in them, so it is
        highest where all f of them equal one v. With q known values, their mean m_q and SS = sum (y - m_q)^2 its
        derivative is zero at v = m_q + sqrt(n * SS / (q * (w^2 * q - f))) if w^2 * q > f; else it never falls. Tested
        against brute force.

        Args:
            values: (q,) known values, 0 <= q <= n.
            count: number of all values, n.
            direction: `maximize` or `minimize`; mirrored when minimizing.
            limit: the best possible value; None: unknown, so the bound may be infinite.
        """
        if len(values) == count:
            return self.score(values, direction)
        sign = 1.0 if direction == "maximize" else -1.0
        highest = math.inf if limit is None else sign * limit
        known = [sign * value for value in values]
        if self.name in ("min", "median"):  # neither decreases when a value increases
            return sign * Rule(name=self.name).score([*known, *[highest] * (count - len(known))], "maximize")
        return sign * _highest(known, count, self._weight(count), highest)

    def _weight(self, count: int) -> float:
        """Returns w such that the score of `count` values is the mean minus w times sigma under ddof 0."""
        if self.name == "mean":
            return 0.0
        if self.name == "lcb":
            return t_quantile(count - 1) / math.sqrt(count) * sigma_factor(count, 1)
        return self.lambda_ * sigma_factor(count, self.ddof)

    def formula(self, direction: str) -> str:
        """Returns the score as a formula, e.g. `mean - sigma`."""
        high = direction == "maximize"
        weight = "" if self.lambda_ == 1 else f"{self.lambda_:g} "
        return {
            "mean-std": f"mean {'-' if high else '+'} {weight}sigma",
            "mean": "mean",
            "min": "lowest" if high else "highest",
            "median": "median",
            "lcb": f"95 % {'lower' if high else 'upper'} bound",
        }[self.name]


def _highest(known: Sequence[float], count: int, weight: float, highest: float) -> float:
    """Returns the supremum of mean - weight * sigma over the unknown values; see `Rule.bound`."""
    seen, left = len(known), count - len(known)
    if not known:
        return highest
    mean, slack = float(np.mean(known)), weight**2 * seen - left
    spread = float(np.sum((np.asarray(known) - mean) ** 2))
    if slack > 0:
        value = min(highest, mean + math.sqrt(count * spread / (seen * slack)))
    elif math.isinf(highest):
        return mean if slack == 0 else math.inf
    else:
        value = highest
    rise = value - mean
    sigma_then = math.sqrt(spread / count + seen * left * rise**2 / count**2)
    return mean + left / count * rise - weight * sigma_then
