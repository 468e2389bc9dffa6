"""Checks of the metrics that a trainable yields, reports or returns."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hpo.core.errors import TrainableError
from hpo.core.records import LARGEST, Metrics, Objective
from hpo.core.texts import is_clean, shown, type_name

MAX_NAME_LENGTH = 200
"""Maximum characters of the name of a metric or a fact."""

MAX_METRICS = 10_000
"""Maximum number of metrics of one step."""

VALUE_SIZE = 24
"""Maximum characters of a stored value."""

MAX_HISTORY = 200_000_000
"""Maximum characters of all metrics of a training: neither database stores a record of a gigabyte."""


def checked_metrics(metrics: object, step: int, objective: Objective) -> Metrics:
    """Returns reported metrics as a mapping of plain strings to plain floats.

    Args:
        metrics: the object that was yielded, reported or returned.
        step: step of the metrics, from 1.
        objective: objective whose metric and constraints must be among them.

    Raises:
        TrainableError: if it is not a mapping of names to finite numbers (None: undefined), or a metric is missing.
    """
    if not isinstance(metrics, Mapping):
        raise TrainableError(f"a trainable must report a mapping of metrics, not {type_name(metrics)}")
    needed = objective.needed
    checked: dict[str, float | None] = {}
    # A subclass of dict may override its methods; the items of the dict itself count.
    items: Iterable[tuple[Any, Any]] = dict.items(metrics) if isinstance(metrics, dict) else metrics.items()
    for key, value in items:
        name = checked_name(key, "metric")
        if name in checked:
            raise TrainableError(f"two metrics at step {step} are named {name!r}; names must be unique strings")
        if len(checked) == MAX_METRICS:
            raise TrainableError(f"more than {MAX_METRICS} metrics were reported at step {step}; report fewer of them")
        undefined = value is None and name not in needed
        checked[name] = None if undefined else as_number(value, f"metric {name!r} at step {step}")
    for name in needed:
        if name not in checked:
            known = ", ".join(sorted(checked)[:20]) or "nothing"
            more = f" and {len(checked) - 20} more" if len(checked) > 20 else ""
            role = "the objective's metric" if name in objective.metrics else "the constraint"
            raise TrainableError(f"{role} {name!r} was not reported at step {step}; reported: {known}{more}")
    return checked


def stored_size(metrics: Metrics, step: int, before: int) -> int:
    """Returns the number of characters that a step's metrics take when stored.

    Args:
        metrics: metrics of the step.
        step: number of the step, from 1.
        before: number of characters of the earlier steps.

    Raises:
        TrainableError: if all steps together are too large to be stored.
    """
    size = sum(len(name) + VALUE_SIZE for name in metrics)
    if before + size > MAX_HISTORY:
        raise TrainableError(
            f"the metrics of the first {step} steps take over {MAX_HISTORY} characters; report fewer at each step"
        )
    return size


def checked_name(key: object, what: str) -> str:
    """Returns the name of a metric or a fact as a plain string.

    Args:
        key: the given name; other values than strings are converted by `str`.
        what: `metric` or `fact`, for the message.

    Raises:
        TrainableError: if it is empty or too long, or has line breaks, control characters or lone surrogates.
    """
    name = str.__str__(key) if isinstance(key, str) else str(key)
    if not name.strip() or len(name) > MAX_NAME_LENGTH or not is_clean(name) or "\n" in name or "\t" in name:
        raise TrainableError(
            f"the name of a {what} must have 1 to {MAX_NAME_LENGTH} characters and no line breaks, tabs or control "
            f"characters, not {shown(key)}"
        )
    return name


def returned_metrics(returned: object, names: Sequence[str]) -> Mapping[Any, Any]:
    """Returns the return value of a function as unchecked metrics by name.

    Args:
        returned: a mapping of metrics, or a number for each metric to optimize.
        names: names of the metrics to optimize.

    Raises:
        TrainableError: if it is neither.
    """
    if isinstance(returned, Mapping):
        return returned
    if len(names) > 1:
        if not isinstance(returned, tuple | list) or len(returned) != len(names):
            came = f"{len(returned)} values" if isinstance(returned, tuple | list) else type_name(returned)
            raise TrainableError(
                f"expected a mapping of metrics, or {len(names)} numbers in the order {', '.join(names)}, got {came}"
            )
        return dict(zip(names, returned, strict=True))
    if isinstance(returned, str | bytes) or not (hasattr(returned, "__float__") or hasattr(returned, "__index__")):
        raise TrainableError(
            f"a trainable must return a mapping of metrics, a number or nothing, not {type_name(returned)}"
        )
    return {names[0]: returned}


def as_number(value: Any, what: str) -> float:
    """Returns a number, or an array or a tensor with one element, as a float.

    Args:
        value: the value that the trainable reported.
        what: description of the value, for the message.

    Raises:
        TrainableError: if it is not a finite number.
    """
    try:
        detach = getattr(value, "detach", None)  # torch warns about a tensor that requires a gradient
        value = detach() if callable(detach) else value
        if getattr(value, "size", None) == 1 and getattr(value, "ndim", 0):  # NumPy rejects [0.5] or warns about it
            value = value.reshape(()) if hasattr(value, "reshape") else value.item()
        number = float(value)
    except OverflowError:
        number = math.inf
    except Exception as error:  # methods of a user's object may raise anything
        why = "" if isinstance(error, TypeError | ValueError) else f" ({type_name(error)})"
        raise TrainableError(f"{what} is {shown(value)}, not a number{why}") from None
    if not math.isfinite(number):
        raise TrainableError(f"{what} is {number}, not a finite number")
    if abs(number) > LARGEST:
        raise TrainableError(f"{what} is {number:g}, beyond the limit of ±{LARGEST:g}")
    return number + 0.0  # a plain float, and not -0.0, which SQLite and Postgres store differently


def describe_metrics(metrics: Metrics) -> str:
    """Returns metrics as text for a training's log: `train_loss 0.5123  auc -`."""
    return "  ".join(f"{name} {'-' if value is None else f'{value:.4f}'}" for name, value in metrics.items())
