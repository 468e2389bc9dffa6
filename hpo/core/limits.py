"""Limits of one training: how they are written, when one is exceeded, and the sentence that says so."""

from __future__ import annotations

import re

from hpo.core.options import seconds_of

TIME, MEMORY = "time", "memory"
"""The keys of the limits in `[resources]`."""

_POWERS = {"k": 1, "m": 2, "g": 3, "t": 4}
_LARGEST = 1e15  # bytes or seconds; a larger number is taken as a typo


def time_of(text: str) -> float:
    """Returns the seconds of a time limit such as `90s`, `30m`, `2h`, `1h30m`, `1d`.

    Raises:
        ValueError: if the text is no length of time.
    """
    seconds = seconds_of(text)
    if seconds > _LARGEST:
        raise ValueError(f"expected a length of time such as 90s, 30m, 1h30m or 1d, got {text[:40]!r}")
    return seconds


def memory_of(text: str) -> float:
    """Returns the bytes of a memory limit such as `512 MiB`, `8 GiB`, `8 GB`.

    Raises:
        ValueError: if the text is no amount of memory.
    """
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgt])(i?)b", text.strip(), re.IGNORECASE)
    amount = float(found[1]) * (1024 if found[3] else 1000) ** _POWERS[found[2].lower()] if found else 0.0
    if not 0 < amount <= _LARGEST:
        raise ValueError(f"expected an amount of memory such as 512 MiB, 8 GiB or 8 GB, got {text[:40]!r}")
    return amount


def describe_exceeded(kind: str, limit: str) -> str:
    """Returns the reason for which a training failed that exceeded a limit.

    Args:
        kind: which limit it was, `TIME` or `MEMORY`.
        limit: the limit as the study says it.
    """
    if kind == TIME:
        return (
            f"the training was ended: it ran for longer than {limit} in one process, its limit ([resources] time); "
            "a training that resumes in a new process has the whole time again"
        )
    return (
        f"the training was ended: it needed more memory than {limit}, its limit ([resources] memory); what its process "
        "had before it began does not count, child processes do"
    )
