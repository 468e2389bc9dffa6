"""The preference that chooses a winner from a front."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, model_validator

from hpo.study.table import Finite, Table, parsed_by

KNEE = "knee"
"""The preference of studies that name none."""

BOUND = re.compile(r"\s*(?P<metric>\S.*?)\s*(?P<sign><=|>=)\s*(?P<value>[-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What the score of an objective must keep, such as `latency_ms <= 20`.

    Attributes:
        metric: name of the objective.
        is_upper: whether values above are refused; otherwise those below.
        value: the largest or smallest value that is allowed.
    """

    metric: str
    is_upper: bool
    value: float

    def __str__(self) -> str:
        return f"{self.metric} {'<=' if self.is_upper else '>='} {self.value:g}"

    def keeps(self, value: float) -> bool:
        """Whether a value is allowed."""
        return value <= self.value if self.is_upper else value >= self.value


def bound_of(text: str) -> Bound:
    """Returns the bound that a text states, e.g. `latency_ms <= 20`.

    Raises:
        ValueError: if it states none.
    """
    found = BOUND.fullmatch(text)
    try:
        if found is not None:
            return Bound(metric=found["metric"], is_upper=found["sign"] == "<=", value=float(found["value"]))
    except ValueError:
        pass  # such as 1.2.3
    raise ValueError(f"expected a bound on an objective, e.g. latency_ms <= 20, got {text!r}")


class PreferTable(Table):
    """How the winner is chosen from the front of several objectives; `"knee"`, the default, is an empty table.

    Attributes:
        weights: weight of each objective; the lowest weighted sum of shares of the front's range wins.
        where: bounds that the winner's scores must keep, such as `latency_ms <= 20`.
    """

    weights: dict[str, Annotated[Finite, Field(ge=0)]] = Field(default_factory=dict)
    where: Annotated[tuple[Annotated[str, parsed_by(bound_of)], ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _weighs_something(self) -> PreferTable:
        if self.weights and not any(self.weights.values()):
            raise ValueError("all weights are 0; give at least one objective a positive weight")
        return self

    @property
    def bounds(self) -> tuple[Bound, ...]:
        """The bounds as values."""
        return tuple(map(bound_of, self.where))

    def __str__(self) -> str:
        total = sum(self.weights.values())
        weights = ", ".join(f"{name} {weight / total:.3g}" for name, weight in self.weights.items())
        parts = [f"weights {weights}"] if weights else []
        parts += [" and ".join(map(str, self.bounds))] if self.where else []
        return ", ".join(parts) or KNEE


def named(given: object) -> object:
    """Returns a preference as a table: `knee` and a bound may be given as a text.

    Args:
        given: the text or table of a study file.

    Raises:
        ValueError: if it is neither.
    """
    if isinstance(given, str):
        if given == KNEE:
            return {}
        try:
            bound_of(given)
        except ValueError:
            pass  # the message below says what is possible
        else:
            return {"where": [given]}
    if isinstance(given, Mapping | PreferTable):
        return given
    raise ValueError(
        f"expected 'knee', a bound such as 'latency_ms <= 20', or a table with weights or where, got {given!r}"
    )


def or_text(schema: dict[str, Any]) -> None:
    """Adds a text to what the JSON schema of a preference allows.

    Args:
        schema: JSON schema of the key, which is changed.
    """
    schema["anyOf"].append({"type": "string"})
