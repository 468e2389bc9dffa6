"""Checks of what Python code hands over: wrong names and types get a sentence, as they do in a study's file."""

from __future__ import annotations

import math
from collections.abc import Iterable

from hpo.core.errors import UsageError, did_you_mean


def refuse_unknown(given: Iterable[str], known: Iterable[str], what: str) -> None:
    """Raises where a name is given that does not exist.

    Args:
        given: the names that were given.
        known: those that exist.
        what: what they are names of, for the message: `promote() takes`.

    Raises:
        UsageError: if there is one; the message lists those that exist.
    """
    known = list(known)
    for name in given:
        if name not in known:
            raise UsageError(f"{what} no {name!r}. It takes: {', '.join(known)}.{did_you_mean(name, known)}")


def require_int(name: str, value: object, low: int | None = None, high: int | None = None) -> None:
    """Raises where a value is no whole number between two bounds.

    Args:
        name: of the value, for the message.
        value: what was given.
        low: the smallest that is allowed; None: any.
        high: the largest that is allowed; None: any.

    Raises:
        UsageError: if it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise UsageError(f"{name} must be a whole number, not {value!r}")
    if (low is not None and value < low) or (high is not None and value > high):
        bounds = (
            f"{low} to {high}" if None not in (low, high) else f"{low} or more" if high is None else f"at most {high}"
        )
        raise UsageError(f"{name} must be {bounds}, not {value}")


def require_number(name: str, value: object, low: float = -math.inf) -> None:
    """Raises where a value is no finite number of at least `low`.

    Raises:
        UsageError: if it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"{name} must be a number, not {value!r}")
    if not math.isfinite(value) or value < low:
        least = f" of {low:g} or more" if low > -math.inf else ""
        raise UsageError(f"{name} must be a finite number{least}, not {value:g}")


def require_type(name: str, value: object, kind: type | tuple[type, ...], wanted: str) -> None:
    """Raises where a value is of another type.

    Args:
        name: of the value, for the message.
        value: what was given.
        kind: the type, or several.
        wanted: how the message calls it: `a text`.

    Raises:
        UsageError: if it is.
    """
    if not isinstance(value, kind):
        raise UsageError(f"{name} must be {wanted}, not {value!r}")


def refuse_other_word(name: str, value: object, known: Iterable[str]) -> None:
    """Raises where a value is none of the words that are known.

    Raises:
        UsageError: if it is none; the message lists them.
    """
    known = list(known)
    if value not in known:
        hint = did_you_mean(value, known) if isinstance(value, str) else ""
        raise UsageError(f"there is no {name} {value!r}; there are {', '.join(known)}.{hint}")


def refuse_lacking(name: str, value: object, attribute: str, wanted: str) -> None:
    """Raises where a value has not the method that it is given for.

    Args:
        name: of the value, for the message.
        value: what was given.
        attribute: name of the method.
        wanted: how the message calls what has it: `an hpo.Observer`.

    Raises:
        UsageError: if it has not.
    """
    if isinstance(value, type) or not callable(getattr(value, attribute, None)):
        raise UsageError(f"{name} must be {wanted}, not {value!r}")
