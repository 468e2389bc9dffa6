"""The same nothing as `tests.bench.toys.steps`, as one writes it for Ray Tune. It imports Ray."""

from __future__ import annotations

import os
from collections.abc import Callable

from ray import tune


def steps_of(steps: int) -> Callable[[dict[str, float]], None]:
    """Returns a function trainable that reports so many steps."""

    def train(config: dict[str, float]) -> None:
        for step in range(1, steps + 1):
            tune.report({"val": float(step), "worker": os.getpid()})

    return train
