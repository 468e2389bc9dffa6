"""What a trainable notes of its data and its circumstances, as plain JSON values.

Kept as they are: texts, whole numbers, truth values, None, finite floats; lists, tuples and mappings of such. Turned
into plain values: NumPy's numbers, arrays and tensors of up to `MOST_VALUES` values, paths, dates, decimals, fractions
and members of an Enum. NaN and the infinities become texts, for JSON has none. Everything else is refused.
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
"""What JSON can hold."""

MOST_VALUES = 100
"""Values of an array that is noted as a list; of a larger one note a digest."""

MOST_LEVELS = 20
"""How deep lists and mappings may lie in each other."""

MOST_PARTS = 10_000
"""Values of one fact, all levels together."""

LARGEST_INT = 10**1000
"""Whole numbers are smaller: Python itself reads and writes no more than 4300 digits."""


def plain_facts(facts: Mapping[str, object]) -> dict[str, Plain]:
    """Returns facts as plain JSON values.

    Args:
        facts: by name, as the trainable noted them.

    Raises:
        TrainableError: if one cannot be kept; the message names it and says what to note instead.
    """
    found: dict[str, Plain] = {}
    for key, value in facts.items():
        name = checked_name(key, "fact")
        try:
            found[name] = _Reader(name).plain(value)
        except TrainableError:
            raise
        except Exception as error:  # whatever the methods of a user's value raise
            raise TrainableError(f"the fact {name!r} cannot be read: {type_name(error)}; note a plain value") from error
    return found


class _Reader:
    """Reads one fact, and counts how much there is in it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._parts = 0

    def plain(self, value: Any, level: int = 0) -> Plain:
        self._parts += 1
        if level > MOST_LEVELS or self._parts > MOST_PARTS:
            raise TrainableError(
                f"the fact {self._name!r} holds more than {MOST_PARTS} values or {MOST_LEVELS} levels of them, or "
                "itself; note a digest of it"
            )
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, Enum):
            return self.plain(value.value, level + 1)
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
            return self._mapping(value, level)
        if isinstance(value, list | tuple):
            return [self.plain(one, level + 1) for one in value]
        return self._array(value, level)

    def _int(self, value: int) -> int:
        if abs(value) >= LARGEST_INT:
            raise TrainableError(f"the fact {self._name!r} is a number of over 1000 digits; note it as a text")
        return value

    def _mapping(self, value: Mapping[Any, Any], level: int) -> dict[str, Plain]:
        found: dict[str, Plain] = {}
        for key, one in value.items():
            name = checked_name(key, "fact")
            if name in found:
                raise TrainableError(f"the fact {self._name!r} has two entries named {name!r}; a name occurs once")
            found[name] = self.plain(one, level + 1)
        return found

    def _array(self, value: Any, level: int) -> Plain:
        """Returns a NumPy number, an array or a tensor; told by its methods, so that neither library is imported."""
        shape, tolist = getattr(value, "shape", None), getattr(value, "tolist", None)
        if not isinstance(shape, tuple) or not callable(tolist):
            raise TrainableError(
                f"the fact {self._name!r} is {shown(value)} of type {type_name(value)}; note a text, a number, a list "
                "or a dict of plain values"
            )
        size = math.prod(shape)
        if size > MOST_VALUES:
            raise TrainableError(
                f"the fact {self._name!r} is an array of {size} values, more than {MOST_VALUES}; note a digest of it"
            )
        listed = tolist()
        if listed is value or type(listed) is type(value):  # e.g. a long double, which is no Python number
            return self.plain(float(value), level + 1)
        return self.plain(listed, level + 1)
