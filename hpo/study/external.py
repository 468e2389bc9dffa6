"""A candidate that another tool found: its params, its value there, and where it is from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from hpo.core.records import MAX_TRIALS, Value
from hpo.study.trial import Trial

FIRST_EXTERNAL = MAX_TRIALS
"""Number, in a study, of the first candidate from another tool: no trial of the study's own search has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a candidate is from.

    Attributes:
        tool: the tool that found it, e.g. `Optuna`.
        source: where that tool's study is, without a password.
        study: name of the study there.
        trial: number of the trial there.
        name: what the tool calls the trial, e.g. the name of a run; None: it has only its number.
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
        """Its number there, and its name if it has one: `17`, `3 (sunny-sweep-4)`."""
        return str(self.trial) if self.name is None else f"{self.trial} ({self.name})"

    @property
    def of_study(self) -> str:
        """The other tool's study: `study digits in sqlite:///old.db (Optuna)`."""
        return f"study {self.study} in {self.source} ({self.tool})"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalTrial:
    """A complete trial of another tool, as a candidate of a study.

    Attributes:
        number: of the candidate in the study; at least `FIRST_EXTERNAL`.
        origin: where it is from.
        params: one assignment of the study's space.
        value: of the objective, as the other tool recorded it.
        last_step: the last at which it reported a value, counted from 1; None if it reported none.
        started: ISO text as the tool gives it; None: not known.
        ended: ISO text as the tool gives it; None: not known.
    """

    number: int
    origin: Origin
    params: Mapping[str, Value]
    value: float
    last_step: int | None = None
    started: str | None = None
    ended: str | None = None

    @property
    def trial(self) -> Trial:
        """The same as a trial of the study."""
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
        """Returns it as JSON values, without its number, which is its place in the list."""
        values = asdict(self)
        del values["number"]
        return {**values, "params": dict(self.params)}

    @classmethod
    def of(cls, number: int, stored: Mapping[str, Any]) -> ExternalTrial:
        """Returns what `stored` gave, with its number."""
        return cls(number=number, **{**stored, "origin": Origin(**stored["origin"])})


def numbered(known: Sequence[ExternalTrial], found: Sequence[ExternalTrial]) -> list[ExternalTrial]:
    """Returns found candidates with their numbers: the known ones keep theirs, the others get the next ones.

    Args:
        known: candidates that the study has had, in the order of their numbers.
        found: candidates whose numbers are not known yet.
    """
    numbers = {(one.origin, *sorted(one.params.items())): one.number for one in known}
    made = []
    for one in found:
        key = (one.origin, *sorted(one.params.items()))
        made.append(replace(one, number=numbers.setdefault(key, FIRST_EXTERNAL + len(numbers))))
    return made
