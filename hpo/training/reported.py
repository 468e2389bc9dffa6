"""What a trainable reports, by whatever form, checked before it is passed on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from hpo.core.errors import TrainableError
from hpo.core.records import LARGEST, Metrics, Objective
from hpo.core.texts import is_clean, shown, type_name

LONGEST_NAME = 200
"""Characters of the name of a metric or a fact."""

MOST_METRICS = 10_000
"""Metrics of one step."""

VALUE_SIZE = 24
"""Characters that a value takes at most where it is stored."""

LARGEST_HISTORY = 200_000_000
"""Characters of all metrics of a training: neither database stores a record of a gigabyte."""


def checked_metrics(metrics: object, step: int, objective: Objective) -> Metrics:
    """Returns what was reported as metrics: plain texts and plain floats.

    Args:
        metrics: what was yielded, reported or returned.
        step: at which it was.
        objective: whose metric, and whose constraints, must be among them.

    Raises:
        TrainableError: if it is no mapping of names to finite numbers (None: undefined), or something is missing.
    """
    if not isinstance(metrics, Mapping):
        raise TrainableError(f"a trainable must report a mapping of metrics, not {type_name(metrics)}")
    needed = (objective.metric, *objective.constraints)
    checked: dict[str, float | None] = {}
    # A subclass of dict may have methods of its own; what the dict holds is what was reported.
    items: Iterable[tuple[Any, Any]] = dict.items(metrics) if isinstance(metrics, dict) else metrics.items()
    for key, value in items:
        name = checked_name(key, "metric")
        if name in checked:
            raise TrainableError(f"two metrics at step {step} are named {name!r}; a name is a text and occurs once")
        if len(checked) == MOST_METRICS:
            raise TrainableError(f"more than {MOST_METRICS} metrics were reported at step {step}; report fewer of them")
        undefined = value is None and name not in needed
        checked[name] = None if undefined else as_number(value, f"metric {name!r} at step {step}")
    for name in needed:
        if name not in checked:
            known = ", ".join(sorted(checked)[:20]) or "nothing"
            more = f" and {len(checked) - 20} more" if len(checked) > 20 else ""
            role = "the objective's metric" if name == objective.metric else "the constraint"
            raise TrainableError(f"{role} {name!r} was not reported at step {step}; reported: {known}{more}")
    return checked


def refuse_large_history(metrics: Metrics, step: int, before: int) -> int:
    """Returns how many characters a step's metrics take where they are stored.

    Args:
        metrics: of the step.
        step: which one it is.
        before: characters of the steps before it.

    Raises:
        TrainableError: if they are too many to be stored with those before.
    """
    size = sum(len(name) + VALUE_SIZE for name in metrics)
    if before + size > LARGEST_HISTORY:
        raise TrainableError(
            f"the metrics of the first {step} steps take over {LARGEST_HISTORY} characters; report fewer at each step"
        )
    return size


def checked_name(key: object, what: str) -> str:
    """Returns the name of a metric or a fact as a plain text.

    Args:
        key: the name as it was given; what is not a text is named as `str` shows it.
        what: `metric` or `fact`, for the message.

    Raises:
        TrainableError: if it is empty or too long, or has line breaks, control characters or halves of characters.
    """
    name = str.__str__(key) if isinstance(key, str) else str(key)
    if not name.strip() or len(name) > LONGEST_NAME or not is_clean(name) or "\n" in name or "\t" in name:
        raise TrainableError(
            f"the name of a {what} must be a text of 1 to {LONGEST_NAME} characters without line breaks, tabs and "
            f"control characters, not {shown(key)}"
        )
    return name


def returned_metrics(returned: object, metric: str) -> Mapping[Any, Any]:
    """Returns what a function returned as metrics by name, not checked yet.

    Args:
        returned: a mapping of metrics, or a number: a value of the objective's metric.
        metric: name of the objective's metric.

    Raises:
        TrainableError: if it is neither.
    """
    if isinstance(returned, Mapping):
        return returned
    if isinstance(returned, str | bytes) or not (hasattr(returned, "__float__") or hasattr(returned, "__index__")):
        raise TrainableError(
            f"a trainable must return a mapping of metrics, a number or nothing, not {type_name(returned)}"
        )
    return {metric: returned}


def as_number(value: Any, what: str) -> float:
    """Returns a value as a float: a number, or an array or a tensor that holds one.

    Args:
        value: what the trainable handed over.
        what: which value it is, for the message.

    Raises:
        TrainableError: if it is no finite number.
    """
    try:
        detach = getattr(value, "detach", None)  # torch warns of a tensor that still has its gradient
        value = detach() if callable(detach) else value
        if getattr(value, "size", None) == 1 and getattr(value, "ndim", 0):  # NumPy refuses, or warns of, [0.5]
            value = value.reshape(()) if hasattr(value, "reshape") else value.item()
        number = float(value)
    except OverflowError:
        number = math.inf
    except Exception as error:  # whatever the methods of a user's value raise, it is no number
        why = "" if isinstance(error, TypeError | ValueError) else f" ({type_name(error)})"
        raise TrainableError(f"{what} is {shown(value)}, not a number{why}") from None
    if not math.isfinite(number):
        raise TrainableError(f"{what} is {number}, not a finite number")
    if abs(number) > LARGEST:
        raise TrainableError(f"{what} is {number:g}, beyond ±{LARGEST:g}; that is as good as infinite")
    return number + 0.0  # a plain float, and no -0.0, which SQLite and Postgres keep differently


def describe_metrics(metrics: Metrics) -> str:
    """Returns a line of a training's log: `train_loss 0.5123  auc -`."""
    return "  ".join(f"{name} {'-' if value is None else f'{value:.4f}'}" for name, value in metrics.items())
