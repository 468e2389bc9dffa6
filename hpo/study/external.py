"""A candidate that another tool found: its params, its value, and its origin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from hpo.core.records import MAX_TRIALS, Value
from hpo.study.trial import Trial

FIRST_EXTERNAL = MAX_TRIALS
"""Number of a study's first candidate from another tool; no trial of the study's own search has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The origin of a candidate.

    Attributes:
        tool: the tool that found it, e.g. `Optuna`.
        source: URL or path of that tool's study, without a password.
        study: name of the study in that tool.
        trial: number of the trial in that tool.
        name: the tool's name of the trial, e.g. of a run; None: it has only a number.
    """

    tool: str
    source: str
    study: str
    trial: int
    name: str | None = None

    def __str__(self) -> str:
        return f"trial {self.label} of {self.of_study}"

    @property
    def label(self) -> str:
        """Number of the trial in that tool, and its name if it has one: `17`, `3 (sunny-sweep-4)`."""
        return str(self.trial) if self.name is None else f"{self.trial} ({self.name})"

    @property
    def of_study(self) -> str:
        """The study of that tool: `study digits in sqlite:///old.db (Optuna)`."""
        return f"study {self.study} in {self.source} ({self.tool})"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalTrial:
    """A complete trial of another tool, as a candidate of a study.

    Attributes:
        number: number of the candidate in the study, at least `FIRST_EXTERNAL`.
        origin: the tool, study and trial that it comes from.
        params: values of the study's params by name.
        value: value of the objective as the other tool recorded it.
        last_step: last step at which it reported a value, counted from 1; None if it reported none, or if
            the study trains an Optuna objective.
        reports: number of values that it reported, if the study trains an Optuna objective; otherwise None.
        started: start time as ISO text from the tool; None: unknown.
        ended: end time as ISO text from the tool; None: unknown.
    """

    number: int
    origin: Origin
    params: Mapping[str, Value]
    value: float
    last_step: int | None = None
    reports: int | None = None
    started: str | None = None
    ended: str | None = None

    @property
    def trial(self) -> Trial:
        """The candidate as a trial of the study."""
        return Trial(
            number=self.number,
            state="complete",
            params=self.params,
            value=self.value,
            values={},
            error=None,
            started=self.started,
            ended=self.ended,
            origin=str(self.origin),
        )

    def stored(self) -> dict[str, Any]:
        """Returns the candidate as JSON values without its number, which is its position in the stored list."""
        values = asdict(self)
        del values["number"]
        return {**values, "params": dict(self.params)}

    @classmethod
    def of(cls, number: int, stored: Mapping[str, Any]) -> ExternalTrial:
        """Returns the candidate from the values of `stored` and its number."""
        return cls(number=number, **{**stored, "origin": Origin(**stored["origin"])})


def numbered(known: Sequence[ExternalTrial], found: Sequence[ExternalTrial]) -> list[ExternalTrial]:
    """Returns candidates with their numbers: known ones keep theirs, new ones get the next numbers.

    Args:
        known: candidates that the study already has, in number order.
        found: candidates without final numbers.
    """
    numbers = {(one.origin, *sorted(one.params.items())): one.number for one in known}
    made = []
    for one in found:
        key = (one.origin, *sorted(one.params.items()))
        made.append(replace(one, number=numbers.setdefault(key, FIRST_EXTERNAL + len(numbers))))
    return made
