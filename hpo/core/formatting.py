"""Formats numbers, durations and params."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from hpo.core.records import Value


def number(value: float | None) -> str:
    """Returns a metric with four digits: `0.7471`, `-0.0120`, `12.35`, `2.3e-07`; `-` for None."""
    if value is None:
        return "-"
    if value == 0:
        return "0.0000"  # also for -0.0
    if abs(value) < 0.00005:  # four decimals would make it 0
        return f"{value:.1e}"
    return f"{value:.4g}" if abs(value) >= 10 else f"{value:.4f}"


def spread(value: float) -> str:
    """Returns a standard deviation, with three digits if it is small: `0.0117`, `0`, `0.000242`, `2.31e-05`."""
    if value == 0:
        return "0"
    return number(value) if abs(value) >= 0.001 else f"{value:.3g}"


def percent(chance: float) -> str:
    """Returns a chance in whole percent; as a bound if it is close to 0 or 1."""
    if chance < 0.005:
        return "< 0.5 %"
    return "> 99.5 %" if chance > 0.995 else f"{100 * chance:.0f} %"


def param(value: Value | None) -> str:
    """Returns the text of one param."""
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def distinct(values: Sequence[Value | None]) -> list[str]:
    """Returns the texts of one param's values, with as many digits as it takes to tell different values apart."""
    for digits in range(3, 17):  # 17 digits tell any two floats apart
        texts = [f"{one:.{digits}g}" if isinstance(one, float) else param(one) for one in values]
        if len(set(texts)) >= len(set(values)):
            return texts
    return [f"{one:.17g}" if isinstance(one, float) else param(one) for one in values]


def params(values: Mapping[str, Value]) -> str:
    """Returns params on one line."""
    return " ".join(f"{name}={param(value)}" for name, value in values.items())


def duration(seconds: float) -> str:
    """Returns a duration, e.g. `12 s`, `5 min`, `2.5 h`."""
    if seconds < 99:
        return f"{seconds:.0f} s"
    if seconds < 99 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def size(count: float) -> str:
    """Returns a number of bytes, e.g. `512 B`, `3.4 MB`, `1.2 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def counted(count: int, noun: str) -> str:
    """Returns `1 trial`, `2 trials`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def near(path: Path) -> str:
    """Returns a path as the user would type it."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def curves_text(events: str | None) -> list[str]:
    """Returns the line that says how event files are looked at; none where there are none."""
    return [] if events is None else [f"Curves: tensorboard --logdir {shlex.quote(events)}"]


def quantity(value: float | None) -> str:
    """Returns a value that may be a count: whole digits from 1000 on, `12345`; otherwise as `number` does."""
    if value is None or not 1000 <= abs(value) < 1e12:
        return number(value)
    return f"{value:.0f}"
