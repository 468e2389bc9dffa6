"""A trial as the rest of the package sees it, whatever Optuna calls it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from optuna.trial import FrozenTrial, TrialState

from hpo.records import Value

STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}

ENQUEUED = "hpo:enqueued"
"""The study's attribute that lists configurations to be tried; that of a trial that has its place in the list."""

IMPORTED = "hpo:imported"
"""The attribute of a trial that was another study's: where it is from; that of a study: what was to be imported."""


CODE = "hpo:code"
"""The attribute of a trial that holds the digest of the code that it is trained with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One configuration the sampler proposed, and how it stands.

    Attributes:
        number: as in Optuna.
        state: complete, pruned, failed, running or waiting; imported if it was another study's.
        params: one assignment of the space.
        value: of the objective; of a pruned trial the one it was refused for.
        values: the objective's value by step.
        constraints: metrics that must be 0 or less, by name.
        origin: where its params are from, if not from the sampler.
        error: why it failed.
        started: ISO text, local time without a zone, as Optuna gives it.
        ended: likewise; None while it is running.
        code: digest of the code that it was trained with; None where it is not known.
    """

    number: int
    state: str
    params: Mapping[str, Value]
    value: float | None
    values: Mapping[int, float]
    error: str | None
    started: str | None
    ended: str | None
    constraints: Mapping[str, float] = field(default_factory=dict)
    origin: str | None = None
    code: str | None = None

    @property
    def is_feasible(self) -> bool:
        """Whether it keeps all constraints."""
        return all(value <= 0 for value in self.constraints.values())


def trial_of(frozen: FrozenTrial) -> Trial:
    """Returns the plain value of an Optuna trial."""
    return Trial(
        number=frozen.number,
        state="imported" if IMPORTED in frozen.user_attrs else STATES[frozen.state],
        params=dict(frozen.params),
        value=frozen.values[0] if frozen.values else None,
        values=dict(sorted(frozen.intermediate_values.items())),
        constraints=dict(sorted(frozen.constraints.items())),
        error=frozen.user_attrs.get("error"),
        started=frozen.datetime_start.isoformat() if frozen.datetime_start else None,
        ended=frozen.datetime_complete.isoformat() if frozen.datetime_complete else None,
        origin=_origin(frozen),
        code=frozen.user_attrs.get(CODE),
    )


def _origin(frozen: FrozenTrial) -> str | None:
    if (origin := frozen.user_attrs.get(IMPORTED)) is not None:
        return f"{STATES[frozen.state]} trial {origin['trial']} of study {origin['study']} in {origin['from']}"
    return "enqueued" if ENQUEUED in frozen.user_attrs else None
