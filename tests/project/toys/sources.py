"""Results that are known functions of the streams, so that their total effects are known too."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hpo import Context, Metrics


@dataclass(frozen=True, slots=True)
class SourceParams:
    """What goes wrong on purpose, besides nothing."""

    x: float
    nap: float = 0.0
    restless: float = 0.0
    fragile: bool = False
    rooted: bool = False
    flags: str = ""


def train(params: SourceParams, ctx: Context) -> Iterator[Metrics]:
    """Yields `val` = 3 split + init, two normal numbers, and `product` = split * init; the others are never drawn."""
    split, init = (float(stream.numpy().normal()) for stream in (ctx.streams.split, ctx.streams.init))
    for epoch in ctx.epochs():
        if params.flags:
            with (Path(params.flags) / "epochs").open("a") as file:
                file.write(f"{ctx.seed} {split} {init} {epoch}\n")
        time.sleep(params.nap)
        if params.fragile and init < 0:
            raise ValueError("it collapsed")
        noise = params.restless * random.SystemRandom().gauss(0, 1)
        root = ctx.seed % 7 if params.rooted else 0.0
        value = 3 * split + init + noise + root  # the same in each epoch: the best of them is another function
        yield {"val": value, "product": split * init, "steps": float(epoch), "sign": math.copysign(1.0, value)}
