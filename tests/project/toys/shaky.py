"""A value that one param lifts and another one shakes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from hpo import Context, Metrics


@dataclass(frozen=True, slots=True)
class ShakyParams:
    """What does what.

    Attributes:
        height: of the value.
        shake: of its noise, which every seed draws anew.
        colour: of nothing at all.
    """

    height: float
    shake: float
    colour: Literal["red", "blue"] = "red"


def train(params: ShakyParams, ctx: Context) -> Iterator[Metrics]:
    """Yields `val` once."""
    yield {"val": params.height + params.shake * float(ctx.streams.init.numpy().normal())}
