"""What a trainable yields, checked before anybody hears of it."""

from __future__ import annotations

import math
from collections.abc import Mapping

from hpo.errors import TrainableError
from hpo.records import Metrics, Objective


def checked_metrics(metrics: object, step: int, objective: Objective) -> Metrics:
    """Returns what was yielded as metrics.

    Args:
        metrics: what was yielded.
        step: at which it was.
        objective: whose metric, and whose constraints, must be among them.

    Raises:
        TrainableError: if it is no mapping of names to finite numbers (None: undefined), or something is missing.
    """
    if not isinstance(metrics, Mapping):
        raise TrainableError(f"a trainable must yield a mapping of metrics, not {type(metrics).__name__}")
    needed = (objective.metric, *objective.constraints)
    checked: dict[str, float | None] = {}
    for name, value in metrics.items():
        if value is None and name not in needed:
            checked[str(name)] = None
            continue
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise TrainableError(f"metric {name!r} at step {step} is {value!r}, not a number") from None
        if not math.isfinite(number):
            raise TrainableError(f"metric {name!r} at step {step} is {number}, not a finite number")
        checked[str(name)] = number
    for name in needed:
        if name not in checked:
            known = ", ".join(sorted(checked)) or "nothing"
            role = "the objective's metric" if name == objective.metric else "the constraint"
            raise TrainableError(f"{role} {name!r} was not yielded at step {step}; yielded: {known}")
    return checked


def metrics_said(metrics: Metrics) -> str:
    """Returns a line of a training's log: `train_loss 0.5123  auc -`."""
    return "  ".join(f"{name} {'-' if value is None else f'{value:.4f}'}" for name, value in metrics.items())
