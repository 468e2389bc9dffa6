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


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One configuration the sampler proposed, and how it stands.

    Attributes:
        number: as in Optuna.
        state: complete, pruned, failed, running or waiting.
        params: one assignment of the space.
        value: of the objective; of a pruned trial the one it was refused for.
        values: the objective's value by step.
        constraints: metrics that must be 0 or less, by name.
        error: why it failed.
        started: ISO text, local time without a zone, as Optuna gives it.
        ended: likewise; None while it is running.
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

    @property
    def is_feasible(self) -> bool:
        """Whether it keeps all constraints."""
        return all(value <= 0 for value in self.constraints.values())


def trial_of(frozen: FrozenTrial) -> Trial:
    """Returns the plain value of an Optuna trial."""
    return Trial(
        number=frozen.number,
        state=STATES[frozen.state],
        params=dict(frozen.params),
        value=frozen.values[0] if frozen.values else None,
        values=dict(sorted(frozen.intermediate_values.items())),
        constraints=dict(sorted(frozen.constraints.items())),
        error=frozen.user_attrs.get("error"),
        started=frozen.datetime_start.isoformat() if frozen.datetime_start else None,
        ended=frozen.datetime_complete.isoformat() if frozen.datetime_complete else None,
    )
