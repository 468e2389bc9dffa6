"""The search space as plain values; it knows no sampler."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from hpo.core.records import Value

When = Mapping[str, tuple[Value, ...]]
"""The condition under which a dimension exists: each named param has one of these values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Float:
    """A real number from low to high, both included."""

    low: float
    high: float
    log: bool = False
    step: float | None = None
    when: When = field(default_factory=dict)

    def __str__(self) -> str:
        return f"float {self.low!r} .. {self.high!r}{_extras(self)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Int:
    """A whole number from low to high, both included."""

    low: int
    high: int
    log: bool = False
    step: int | None = None
    when: When = field(default_factory=dict)

    def __str__(self) -> str:
        return f"int {self.low} .. {self.high}{_extras(self)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One of several values."""

    values: tuple[Value, ...]
    when: When = field(default_factory=dict)

    def __str__(self) -> str:
        return f"choice {', '.join(map(_shown, self.values))}{_condition(self.when)}"


Dimension = Float | Int | Choice
Space = Mapping[str, Dimension]
"""The dimensions by name of the param, parents of conditional ones first (see `in_order`)."""


def holds(when: When, params: Mapping[str, Value]) -> bool:
    """Whether the condition is met by the params chosen so far."""
    return all(name in params and same(params[name], values) for name, values in when.items())


def same(value: Value, values: tuple[Value, ...]) -> bool:
    """Whether `value` is among `values`, telling True from 1."""
    return any(value == other and isinstance(value, bool) == isinstance(other, bool) for other in values)


def count(dimension: Dimension) -> int | None:
    """Returns how many values a dimension has, None if they cannot be counted."""
    match dimension:
        case Choice(values=values):
            return len(values)
        case Int(low=low, high=high, step=step):
            return len(range(low, high + 1, step or 1))
        case Float(low=low, high=high, step=None):
            return 1 if low == high else None
        case Float(low=low, high=high, step=step):
            return int((Decimal(str(high)) - Decimal(str(low))) / Decimal(str(step))) + 1


def points(dimension: Dimension) -> tuple[Value, ...]:
    """Returns all values of a dimension that can be counted; floats as they are written in decimal numbers."""
    match dimension:
        case Choice(values=values):
            return values
        case Int(low=low, high=high, step=step):
            return tuple(range(low, high + 1, step or 1))
        case Float(low=low, step=step):
            every = Decimal(str(step or 0))
            return tuple(float(Decimal(str(low)) + index * every) for index in range(count(dimension) or 0))


def in_order(space: Space) -> Iterator[str]:
    """Yields the names so that each comes after those its condition reads, else as they stand in the file.

    Raises:
        ValueError: if conditions form a circle; the message names its members.
    """
    done: set[str] = set()
    waiting = list(space)
    while waiting:
        ready = next((name for name in waiting if all(p in done or p not in space for p in space[name].when)), None)
        if ready is None:
            circle, before = waiting, None
            while circle != before:  # drop those that only hang on it
                before, circle = circle, [name for name in circle if any(name in space[other].when for other in circle)]
            raise ValueError(f"the conditions of {', '.join(circle)} depend on each other in a circle")
        waiting.remove(ready)
        done.add(ready)
        yield ready


def _extras(dimension: Float | Int) -> str:
    log = " log" if dimension.log else ""
    step = f" step {dimension.step!r}" if dimension.step is not None else ""
    return f"{log}{step}{_condition(dimension.when)}"


def _condition(when: When) -> str:
    parts = [f"{name} is {' or '.join(sorted(map(_shown, values)))}" for name, values in sorted(when.items())]
    return f" when {' and '.join(parts)}" if parts else ""


def _shown(value: Value) -> str:
    return json.dumps(value, ensure_ascii=False)  # tells "1" from 1, and writes true as TOML does
