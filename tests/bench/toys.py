"""Trainables that do nothing, for as long as they are told."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from hpo import Context, Metrics


@dataclass(frozen=True, slots=True)
class Params:
    """Three numbers for the sampler to draw."""

    x: float
    y: float
    z: float


def steps(params: Params, ctx: Context) -> Iterator[Metrics]:
    """Yields the same curve for all params, so that a median pruner looks at every step and prunes none."""
    for step in range(1, ctx.budget + 1):
        yield {"val": float(step), "worker": os.getpid()}


def nap(params: Params, ctx: Context) -> Iterator[Metrics]:
    """Sleeps for 2 to 4 seconds, a function of x, and says from when to when."""
    begin = time.time()
    time.sleep(2 + 2 * params.x)
    yield {"val": params.y, "begin": begin, "end": time.time(), "worker": os.getpid()}


def loaded(params: Params, ctx: Context) -> Iterator[Metrics]:
    """Says which packages its process has loaded."""
    names = ("ray", "optuna", "sqlalchemy", "alembic", "torch")
    yield {"val": 0.0, **{name: float(name in sys.modules) for name in names}}
