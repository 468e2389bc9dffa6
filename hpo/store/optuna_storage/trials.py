"""Converts Optuna's trials to `Trial`."""

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
"""The study's attribute with the queued configurations; a trial's attribute with its place in that queue."""

IMPORTED = "hpo:imported"
"""The attribute of an imported trial with its origin; the study's attribute with the announced imports."""


EXTERNAL = "hpo:external"
"""The study's attribute with the candidates from other tools; they are none of its trials."""

CODE = "hpo:code"
"""The trial's attribute with the digest of its code."""

OPTUNA_VERSION = "hpo:optuna"
"""The trial's attribute with the exact version of Optuna whose sampler proposed it."""

DOUBTS = "hpo:not-reproducible"
"""The trial's attribute that says why its params may not follow from the seeds."""


ARCHIVED = "hpo:archived"
"""The study's attribute that says whether lists leave it out."""

PRIOR = "hpo:prior"
"""The study's attribute with the values of the old studies that it starts from."""

AGREEMENT = "hpo:agreement"
"""The trial's attribute that says how far each old study agreed with the trials before it."""


def trial_of(frozen: FrozenTrial) -> Trial:
    """Returns an Optuna trial as a plain value."""
    return Trial(
        number=frozen.number,
        state="imported" if IMPORTED in frozen.user_attrs else STATES[frozen.state],
        params=dict(frozen.params),
        value=frozen.values[0] if frozen.values else None,
        vector=tuple(frozen.values) if frozen.values and len(frozen.values) > 1 else (),
        values=dict(sorted(frozen.intermediate_values.items())),
        constraints=dict(sorted(frozen.constraints.items())),
        error=frozen.user_attrs.get("error"),
        started=frozen.datetime_start.isoformat() if frozen.datetime_start else None,
        ended=frozen.datetime_complete.isoformat() if frozen.datetime_complete else None,
        origin=_origin(frozen),
        code=frozen.user_attrs.get(CODE),
        not_reproducible=frozen.user_attrs.get(DOUBTS),
        optuna=frozen.user_attrs.get(OPTUNA_VERSION),
    )


def _origin(frozen: FrozenTrial) -> str | None:
    if (origin := frozen.user_attrs.get(IMPORTED)) is not None:
        return f"{STATES[frozen.state]} trial {origin['trial']} of study {origin['study']} in {origin['from']}"
    return "enqueued" if ENQUEUED in frozen.user_attrs else None
