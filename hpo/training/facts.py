"""Facts that a trainable notes about its data and environment, as plain JSON values.

Stored unchanged: strings, integers, booleans, None, finite floats; lists, tuples and mappings of them. Converted: NumPy
numbers, arrays and tensors of up to `MAX_VALUES` values, paths, dates, decimals, fractions and members of an Enum. NaN
and infinities become strings, because JSON lacks them. Everything else raises an error.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import PurePath
from typing import Any

from hpo.core.errors import TrainableError
from hpo.core.texts import LONGEST, cleaned, shown, type_name
from hpo.training.reported import checked_name

Plain = None | bool | int | float | str | list[Any] | dict[str, Any]
"""A JSON value."""

MAX_VALUES = 100
"""Largest size of an array that is stored as a list; note a digest of a larger one."""

MAX_DEPTH = 20
"""Maximum nesting depth of lists and mappings."""

MAX_TOTAL = 10_000
"""Maximum number of values of one fact, nested ones included."""

INT_LIMIT = 10**1000
"""Integers must be smaller: Python itself converts no more than 4300 digits."""


def plain_facts(facts: Mapping[str, object]) -> dict[str, Plain]:
    """Returns facts as plain JSON values.

    Args:
        facts: facts that the trainable noted, by name.

    Raises:
        TrainableError: if a fact cannot be stored; the message names it and says what to note instead.
    """
    found: dict[str, Plain] = {}
    for key, value in facts.items():
        name = checked_name(key, "fact")
        try:
            found[name] = _Converter(name).plain(value)
        except TrainableError:
            raise
        except Exception as error:  # methods of a user's object may raise anything
            raise TrainableError(f"the fact {name!r} cannot be read: {type_name(error)}; note a plain value") from error
    return found


class _Converter:
    """Converts one fact, and counts its values."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._total = 0

    def plain(self, value: Any, depth: int = 0) -> Plain:
        self._total += 1
        if depth > MAX_DEPTH or self._total > MAX_TOTAL:
            raise TrainableError(
                f"the fact {self._name!r} has more than {MAX_TOTAL} values or {MAX_DEPTH} nested levels, or contains "
                "itself; note a digest of it"
            )
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, Enum):
            return self.plain(value.value, depth + 1)
        if isinstance(value, str):
            return cleaned(str.__str__(value), LONGEST)
        if isinstance(value, int):
            return self._int(int.__index__(value))
        if isinstance(value, float):
            number = float.__float__(value)
            return number if math.isfinite(number) else str(number)
        if isinstance(value, PurePath | Decimal | Fraction):
            return cleaned(str(value), LONGEST)
        if isinstance(value, dt.date | dt.time):
            return value.isoformat()
        if isinstance(value, Mapping):
            return self._mapping(value, depth)
        if isinstance(value, list | tuple):
            return [self.plain(one, depth + 1) for one in value]
        return self._array(value, depth)

    def _int(self, value: int) -> int:
        if abs(value) >= INT_LIMIT:
            raise TrainableError(f"the fact {self._name!r} is a number of over 1000 digits; note it as a string")
        return value

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> dict[str, Plain]:
        found: dict[str, Plain] = {}
        for key, one in value.items():
            name = checked_name(key, "fact")
            if name in found:
                raise TrainableError(f"the fact {self._name!r} has two entries named {name!r}; names must be unique")
            found[name] = self.plain(one, depth + 1)
        return found

    def _array(self, value: Any, depth: int) -> Plain:
        """Converts a NumPy number, an array or a tensor. Recognizes it without importing NumPy or torch."""
        shape, tolist = getattr(value, "shape", None), getattr(value, "tolist", None)
        if not isinstance(shape, tuple) or not callable(tolist):
            raise TrainableError(
                f"the fact {self._name!r} is {shown(value)} of type {type_name(value)}; note a string, a number, a "
                "list or a dict of plain values"
            )
        size = math.prod(shape)
        if size > MAX_VALUES:
            raise TrainableError(
                f"the fact {self._name!r} is an array of {size} values, more than {MAX_VALUES}; note a digest of it"
            )
        listed = tolist()
        if listed is value or type(listed) is type(value):  # e.g. a long double, which is not a Python number
            return self.plain(float(value), depth + 1)
        return self.plain(listed, depth + 1)
