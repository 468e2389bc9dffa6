"""Says which graphics card a worker was given and how much of its memory."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from hpo import Context, Metrics


@dataclass(frozen=True, slots=True)
class CardParams:
    """Nothing of it changes anything."""

    x: float
    nap: float = 0.0


def train(params: CardParams, ctx: Context) -> Iterator[Metrics]:
    """Yields the card's number among those of the machine, and the share of its memory before the first epoch."""
    share = torch.cuda.get_per_process_memory_fraction() if torch.cuda.is_available() else None
    for _ in ctx.epochs():
        time.sleep(params.nap)
        cards = os.environ["CUDA_VISIBLE_DEVICES"].split(",")
        yield {"val": params.x, "pid": os.getpid(), "cards": len(cards), "card": int(cards[0]), "share": share}
