"""The search space as plain values, independent of samplers."""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from decimal import Decimal

from hpo.core.arguments import explains_arguments
from hpo.core.records import Value

When = Mapping[str, Value | Sequence[Value]]
"""The condition under which a dimension exists: each named param has the given value, or one of the given values.

For a number, a text may also be a range: `>= 2`, `> 0.5, <= 4`.
"""

_COMPARISON = re.compile(r"\s*(<=|>=|<|>)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*")

_COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def conditions(when: When) -> dict[str, tuple[Value, ...]]:
    """Returns a condition with all its values as tuples."""
    return {
        name: (value,) if isinstance(value, Value) or not isinstance(value, Sequence) else tuple(value)
        for name, value in when.items()
    }


class SpaceDimension:
    """Base of all dimensions: a type checker takes a dict of several kinds for a dict of these."""

    __slots__ = ()


@explains_arguments
@dataclass(frozen=True, slots=True)
class Float(SpaceDimension):
    """A real number from low to high, both included; `hpo.Study` validates it.

    Attributes:
        low: smallest allowed value.
        high: largest allowed value.
        log: whether values are drawn on a logarithmic scale.
        step: distance between neighboring values; None: any value between the bounds.
        when: values or ranges (`>= 2`) of other params, by name, under which this one exists.

    Examples:
        >>> import hpo
        >>> print(hpo.Float(1e-4, 1e-1, log=True))
        float 0.0001 .. 0.1 log
        >>> print(hpo.Float(0.5, 0.99, when={"optimizer": "sgd"}))
        float 0.5 .. 0.99 when optimizer is "sgd"
    """

    low: float
    high: float
    _: KW_ONLY
    log: bool = False
    step: float | None = None
    when: When = field(default_factory=dict)

    def __post_init__(self) -> None:
        _normalize(self)

    def __str__(self) -> str:
        return f"float {self.low!r} .. {self.high!r}{_extras(self)}"


@explains_arguments
@dataclass(frozen=True, slots=True)
class Int(SpaceDimension):
    """A whole number from low to high, both included; `hpo.Study` validates it.

    Attributes:
        low: smallest allowed value.
        high: largest allowed value.
        log: whether values are drawn on a logarithmic scale.
        step: distance between neighboring values; None: every whole number between the bounds.
        when: values or ranges (`>= 2`) of other params, by name, under which this one exists.

    Examples:
        >>> import hpo
        >>> print(hpo.Int(16, 256, log=True))
        int 16 .. 256 log
        >>> print(hpo.Int(32, 128, step=32))
        int 32 .. 128 step 32
    """

    low: int
    high: int
    _: KW_ONLY
    log: bool = False
    step: int | None = None
    when: When = field(default_factory=dict)

    def __post_init__(self) -> None:
        _normalize(self)

    def __str__(self) -> str:
        return f"int {self.low} .. {self.high}{_extras(self)}"


@explains_arguments
@dataclass(frozen=True, slots=True)
class Choice(SpaceDimension):
    """One of several values; `hpo.Study` validates them.

    Attributes:
        values: distinct numbers, texts, True or False.
        when: values or ranges (`>= 2`) of other params, by name, under which this one exists.

    Examples:
        >>> import hpo
        >>> print(hpo.Choice(["adam", "sgd"]))
        choice "adam", "sgd"
    """

    values: Sequence[Value]
    _: KW_ONLY
    when: When = field(default_factory=dict)

    def __post_init__(self) -> None:
        _normalize(self)

    def __str__(self) -> str:
        return f"choice {', '.join(map(_shown, self.values))}{_condition(self.when)}"


Dimension = Float | Int | Choice


def _normalize(dimension: Dimension) -> None:
    """Turns lists into tuples, so that equal dimensions compare equal; `hpo.Study` reports other types."""
    if isinstance(dimension.when, Mapping):
        object.__setattr__(dimension, "when", conditions(dimension.when))
    if isinstance(dimension, Choice) and isinstance(dimension.values, list | tuple):
        object.__setattr__(dimension, "values", tuple(dimension.values))


Space = Mapping[str, Dimension]
"""The dimensions by param name, parents of conditional ones first (see `in_order`)."""


def holds(when: When, params: Mapping[str, Value]) -> bool:
    """Whether the params chosen so far meet the condition."""
    return all(name in params and meets(params[name], values) for name, values in conditions(when).items())


def same(value: Value, values: Iterable[Value]) -> bool:
    """Whether `value` is among `values`; True and 1 are different."""
    return any(value == other and isinstance(value, bool) == isinstance(other, bool) for other in values)


def meets(value: Value, wanted: Iterable[Value]) -> bool:
    """Whether a value is one of the values of a condition, or in one of its ranges.

    Args:
        value: value of the param that the condition names.
        wanted: values and ranges, one of which must match.
    """
    wanted = tuple(wanted)
    return same(value, wanted) or any(_is_within(value, comparisons(one)) for one in wanted)


def comparisons(condition: Value) -> list[tuple[str, float]]:
    """Returns the comparisons of a range such as `> 0.5, <= 4`; empty for anything else.

    Args:
        condition: a value or a range of a condition.
    """
    parts = condition.split(",") if isinstance(condition, str) else []
    found = [_COMPARISON.fullmatch(part) for part in parts]
    return [(one[1], float(one[2])) for one in found if one] if all(found) else []


def _is_within(value: Value, limits: Sequence[tuple[str, float]]) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return bool(limits) and is_number and all(_COMPARE[sign](value, limit) for sign, limit in limits)


def is_reachable(dimension: Dimension, limits: Sequence[tuple[str, float]]) -> bool:
    """Whether a dimension has a value in a range.

    Args:
        dimension: the dimension with the values.
        limits: comparisons of the range, from `comparisons`.
    """
    if isinstance(dimension, Choice):
        return any(_is_within(value, limits) for value in dimension.values)
    low, high = dimension.low, dimension.high
    lower = max([low, *(limit for sign, limit in limits if sign in (">", ">="))])
    upper = min([high, *(limit for sign, limit in limits if sign in ("<", "<="))])
    step = dimension.step or (1 if isinstance(dimension, Int) else None)
    if step is None:
        near = [lower, (lower + upper) / 2, upper]
    else:
        first = math.ceil((lower - low) / step) if math.isfinite(lower) else 0
        near = [low + first * step, low + (first + 1) * step]  # the second one if the first equals an excluded limit
    return any(low <= value <= high and _is_within(value, limits) for value in near)


def choice_value(choice: object) -> Value | None:
    """Returns a choice of Python code as a study's value: the text of None or a list, the name of a function.

    Args:
        choice: one of several values, of any type; the result is None if it has no such text.
    """
    if isinstance(choice, Value):
        return choice
    if choice is None or isinstance(choice, list | tuple):
        return repr(choice)
    name = getattr(choice, "__name__", None)
    return name if isinstance(name, str) else None


def choice_values(choice: object) -> tuple[Value, ...]:
    """Returns all values of a study that may stand for a choice: Optuna's database turns a tuple into a list.

    Args:
        choice: one of several values, of any type; the result is empty if it has no text.
    """
    if isinstance(choice, list | tuple):
        return repr(choice), repr(tuple(choice) if isinstance(choice, list) else list(choice))
    value = choice_value(choice)
    return () if value is None else (value,)


def count(dimension: Dimension) -> int | None:
    """Returns the number of values of a dimension; None if they are not countable."""
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
    """Returns all values of a countable dimension; floats are computed in decimal."""
    match dimension:
        case Choice(values=values):
            return tuple(values)
        case Int(low=low, high=high, step=step):
            return tuple(range(low, high + 1, step or 1))
        case Float(low=low, step=step):
            every = Decimal(str(step or 0))
            return tuple(float(Decimal(str(low)) + index * every) for index in range(count(dimension) or 0))


def in_order(space: Space) -> Iterator[str]:
    """Yields the names in file order, but each one after the params of its condition.

    Raises:
        ValueError: if conditions form a cycle; the message names its members.
    """
    done: set[str] = set()
    waiting = list(space)
    while waiting:
        ready = next((name for name in waiting if all(p in done or p not in space for p in space[name].when)), None)
        if ready is None:
            cycle, before = waiting, None
            while cycle != before:  # drop those that only depend on the cycle
                before, cycle = cycle, [name for name in cycle if any(name in space[other].when for other in cycle)]
            raise ValueError(f"the conditions of {', '.join(cycle)} depend on each other in a cycle")
        waiting.remove(ready)
        done.add(ready)
        yield ready


def _extras(dimension: Float | Int) -> str:
    log = " log" if dimension.log else ""
    step = f" step {dimension.step!r}" if dimension.step is not None else ""
    return f"{log}{step}{_condition(dimension.when)}"


def _condition(when: When) -> str:
    parts = [
        f"{name} is {' or '.join(sorted(map(_shown, values)))}" for name, values in sorted(conditions(when).items())
    ]
    return f" when {' and '.join(parts)}" if parts else ""


def _shown(value: Value) -> str:
    return json.dumps(value, ensure_ascii=False)  # distinguishes "1" from 1, and writes true as TOML does
