"""The names of rules and of ways to estimate sigma; options are declared with them, so nothing heavy is imported."""

from __future__ import annotations

from typing import Literal

RuleName = Literal["mean-std", "mean", "min", "median", "lcb"]
"""What a score is: mean - lambda * sigma; the mean; the worst value; the median; the lower end of the 95 % interval."""

Ddof = Literal[0, 1, "unbiased"]
"""How sigma is estimated: 0 divides by n, 1 by n - 1, `unbiased` also corrects the bias of the square root."""

DDOFS: tuple[Ddof, ...] = (0, 1, "unbiased")


def ddof_of(text: str) -> Ddof:
    """Parses a ddof.

    Raises:
        ValueError: if the text is not one of `DDOFS`.
    """
    for ddof in DDOFS:
        if text == str(ddof):
            return ddof
    raise ValueError(f"expected {', '.join(map(str, DDOFS[:-1]))} or {DDOFS[-1]}, got {text!r}")
