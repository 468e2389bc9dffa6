"""Trainings that take their seed in other ways than they should."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hpo import Context, Metrics


@dataclass(frozen=True, slots=True)
class HeedlessParams:
    """How the seed is used."""

    x: float
    seeds: Literal["ignored", "used", "halved", "in-bad-trials", "constant", "flat"] = "ignored"


def train(params: HeedlessParams, ctx: Context) -> Iterator[Metrics]:
    """Yields `val`, higher is better, and `seconds`, which no two trainings have in common."""
    if params.seeds == "constant":
        yield {"val": 1.0}
        return
    number = {
        "ignored": 0,
        "used": ctx.seed,
        "halved": ctx.seed // 2,
        "in-bad-trials": ctx.seed if params.x < 0.5 else 0,
        "flat": ctx.seed,
    }[params.seeds]
    draw = np.random.default_rng(number)
    offset = 0.01 * draw.normal()
    for epoch in ctx.epochs():
        value = params.x + offset + (0.0 if params.seeds == "flat" else 0.01 * epoch)
        yield {"val": value, "seconds": time.perf_counter()}
