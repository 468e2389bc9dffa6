"""A classifier of twenty numbers, without torch, that is judged on the fold it is given."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hpo import Context, Metrics

CASES = 20


@dataclass(frozen=True, slots=True)
class FoldParams:
    """What a value depends on, how long an epoch may take, and in which fold it goes wrong."""

    x: float
    nap: float = 0.0
    broken: int = -1
    blind: bool = False


def train(params: FoldParams, ctx: Context) -> Iterator[Metrics]:
    """Yields `val`, which falls with the distance of x from .3 and is noisy, and `none`, undefined in fold 1."""
    number_N = ctx.streams.split.numpy().permutation(CASES)
    fold = 0 if params.blind else ctx.fold
    held_out = number_N[fold :: max(1, ctx.folds)]
    offset = float(ctx.streams.init.numpy().normal()) * 0.2
    for epoch in ctx.epochs():
        time.sleep(params.nap * random.SystemRandom().random())
        if fold == params.broken:
            raise ValueError("the user's own mistake")
        yield {
            "val": epoch * (1 - abs(params.x - 0.3)) + offset,
            "none": None if fold == 1 else 1.0,
            "over": float(held_out.mean()) - CASES,
        }
    wave = 0.5 + 0.5 * np.sin(held_out * params.x + offset)
    ctx.save_predictions(
        truth=held_out % 2,
        probabilities=np.stack([wave, 1 - wave], axis=1),
        labels=(1, 2),
        names=("A", "B"),
        cases={"path": [f"case-{number}" for number in held_out]},
    )
