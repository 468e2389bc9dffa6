"""How replicates become a score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hpo.statistics import Ddof, sigma, t_half_width

RuleName = Literal["mean-std", "mean", "min", "median", "lcb"]
"""What a score is: mean - lambda * sigma; the mean; the worst value; the median; the lower end of the 95 % interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How replicates become a score. When minimizing all is mirrored: mean + lambda * sigma, the highest value, ...

    Attributes:
        name: of the rule.
        lambda_: weight of sigma; only `mean-std` has one.
        ddof: of sigma.
    """

    name: RuleName = "mean-std"
    lambda_: float = 1.0
    ddof: Ddof = 0

    @property
    def fewest(self) -> int:
        """How many values it takes at least."""
        return 2 if self.name == "lcb" or self.ddof != 0 else 1

    def score(self, values: Sequence[float], direction: str) -> float:
        """Returns the score of (n,) values; more is better when maximizing, less when minimizing."""
        if self.name == "median":
            return float(np.median(values))
        sign = -1.0 if direction == "maximize" else 1.0
        if self.name == "min":
            return float(min(values) if direction == "maximize" else max(values))
        mean = float(np.mean(values))
        if self.name == "lcb":
            return mean + sign * t_half_width(values)
        return mean if self.name == "mean" else mean + sign * self.lambda_ * sigma(values, self.ddof)

    def said(self, direction: str) -> str:
        """Returns what the score is, e.g. `mean - sigma`."""
        high = direction == "maximize"
        weight = "" if self.lambda_ == 1 else f"{self.lambda_:g} "
        return {
            "mean-std": f"mean {'-' if high else '+'} {weight}sigma",
            "mean": "mean",
            "min": "lowest" if high else "highest",
            "median": "median",
            "lcb": f"95 % {'lower' if high else 'upper'} bound",
        }[self.name]
