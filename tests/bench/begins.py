"""A trainable that imports torch and says when what began; the moments go to a file."""

from __future__ import annotations

import json
import os
import time

IMPORTING = time.time()

from collections.abc import Iterator  # noqa: E402  the clock is read first
from dataclasses import dataclass  # noqa: E402
from pathlib import Path  # noqa: E402

import torch  # noqa: E402

from hpo import Context, Metrics  # noqa: E402

IMPORTED = time.time()


@dataclass(frozen=True, slots=True)
class Params:
    """A number for the sampler to draw, and the folder for the moments."""

    x: float
    folder: str


def train(params: Params, ctx: Context) -> Iterator[Metrics]:
    """Takes one step of training."""
    model = torch.nn.Conv2d(1, 8, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=params.x)  # the first one imports torch's compiler: a second
    for _epoch in ctx.epochs(model=model, optimizer=optimizer):
        model(torch.zeros(4, 1, 32, 32)).sum().backward()
        optimizer.step()
        moments = {"importing": IMPORTING, "imported": IMPORTED, "step": time.time()}
        (Path(params.folder) / f"{os.getpid()}.json").write_text(json.dumps(moments))
        yield {"val": 0.0}
