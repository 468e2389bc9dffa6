"""Optuna's trials as the rest of the package sees them."""

from __future__ import annotations

from optuna.trial import FrozenTrial, TrialState

from hpo.study.trial import Trial

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
