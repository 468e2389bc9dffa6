"""One dimension of a study's space, as written in a file."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from hpo.core.records import Value
from hpo.study import space
from hpo.study.table import Finite, Table

LARGEST_INT = 2**53  # samplers use floats, which cannot represent all larger integers
MOST_STEPS = 10**9


def _of_64_bits(value: Value) -> Value:
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("expected a whole number of at most 64 bits, as in TOML")
    return value


Scalar = Annotated[bool | int | Finite | str, Field(union_mode="smart"), AfterValidator(_of_64_bits)]
Whole = Annotated[int, Field(ge=-LARGEST_INT, le=LARGEST_INT)]


class DimensionTable(Table):
    """One dimension of the space: exactly one of `float = [low, high]`, `int = [low, high]`, `choice = [..]`.

    Attributes:
        float_range: lowest and highest number; both are possible.
        int_range: lowest and highest whole number; both are possible.
        choice: the possible values, without an order: text, numbers, true or false.
        log: whether values are drawn on a logarithmic scale.
        step: distance between neighboring values, counted from the lowest; None: all values of the range.
        when: the condition under which the param exists, by the values of other params: a value, a list, or a range
            such as `">= 2"`. Where it does not exist, the trainable's default applies.
    """

    float_range: tuple[Finite, Finite] | None = Field(None, alias="float", strict=False)
    int_range: tuple[Whole, Whole] | None = Field(None, alias="int", strict=False)
    choice: tuple[Scalar, ...] | None = Field(None, strict=False)
    log: bool = False
    step: Whole | Finite | None = None
    when: dict[str, Scalar | list[Scalar]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _makes_sense(self) -> DimensionTable:
        kinds = [self.float_range, self.int_range, self.choice]
        if sum(kind is not None for kind in kinds) != 1:
            raise ValueError("expected exactly one of float = [low, high], int = [low, high], choice = [..]")
        if self.choice is not None:
            _refuse_choice(self.choice, log=self.log, step=self.step)
        else:
            low, high = self.float_range or self.int_range  # type: ignore[misc]  # one of them is set
            _refuse_range(low, high, log=self.log, step=self.step, whole=self.int_range is not None)
        for name, values in self.when.items():
            if values == []:
                raise ValueError(f"when.{name} lists no value; give at least one")
        return self

    def dimension(self) -> space.Dimension:
        """Returns the dimension as a plain value."""
        when = {name: tuple(v) if isinstance(v, list) else (v,) for name, v in self.when.items()}
        if self.float_range is not None:
            low, high = self.float_range
            step = None if self.step is None else float(self.step)
            return space.Float(low=low, high=high, log=self.log, step=step, when=when)
        if self.int_range is not None:
            first, last = self.int_range
            return space.Int(low=first, high=last, log=self.log, step=_whole(self.step), when=when)
        return space.Choice(values=self.choice or (), when=when)


def _whole(step: float | None) -> int | None:
    return None if step is None else int(step)


def _refuse_choice(values: tuple[Value, ...], *, log: bool, step: float | None) -> None:
    if not values:
        raise ValueError("choice is empty; list at least one value")
    if log or step is not None:
        raise ValueError("log and step belong to float and int, not to choice")
    for index, value in enumerate(values):
        if value in values[:index]:  # the sampler finds a value's index by ==, for which 1, 1.0 and true are equal
            raise ValueError(f"choice names {value!r} twice (1, 1.0 and true count as one)")


def _refuse_range(low: float, high: float, *, log: bool, step: float | None, whole: bool) -> None:
    if low > high:
        raise ValueError(f"low {low} is above high {high}; write the smaller one first")
    if log and low <= 0:
        raise ValueError(f"a log range must start above 0, not at {low}")
    if not math.isfinite(high - low):
        raise ValueError(f"the range {low} .. {high} is too wide to draw from; narrow it")
    if log and step is not None:
        raise ValueError("log and step exclude each other; leave one out")
    if step is not None and step <= 0:
        raise ValueError(f"step must be above 0, not {step}")
    if step is not None and whole and step != int(step):
        raise ValueError(f"step of an int must be a whole number, not {step}")
    if step is not None:
        _refuse_steps(low, high, step)


def _refuse_steps(low: float, high: float, step: float) -> None:
    last, every = Decimal(str(high)), Decimal(str(step))  # in binary floats, 0.3 is not a multiple of 0.1
    width = last - Decimal(str(low))
    if 0 < width < every:
        raise ValueError(f"step {step} is longer than the range {low} .. {high}")
    if every * MOST_STEPS < width:
        raise ValueError(f"step {step} gives more than {MOST_STEPS:g} values from {low} to {high}; leave it out")
    if rest := width % every:  # Optuna would silently shorten the range
        raise ValueError(f"steps of {step} from {low} do not reach {high}; end at {last - rest}")
