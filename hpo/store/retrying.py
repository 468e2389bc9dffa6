"""Reopens failed trials, so that they are trained again under the same number and with the same params."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, delete, select, update

from hpo.core.records import Stage, Status
from hpo.store.schema import Library
from hpo.store.tables import EvaluationRow

RETRY = "to be trained again"
"""The remark of a failed evaluation that no longer counts: the next attempt replaces it."""

_LONGEST = 200
"""Characters kept of the error of a replaced attempt."""

_LEFT_BY_FAILURE = ("trial_values", "trial_intermediate_values", "trial_heartbeats")
"""The library's tables with a trial's results, which a new attempt must not inherit."""


def reopen(connection: Connection, library: Library, study_id: int, name: str, numbers: Sequence[int]) -> None:
    """Sets failed trials back to running, as after a crash, so that the next run trains them.

    Args:
        connection: one within a transaction.
        library: the library that stores the trials.
        study_id: our id of the study.
        name: name of the study in the library.
        numbers: numbers of the failed trials.
    """
    tables = library.metadata.tables
    studies, trials, attributes = tables["studies"], tables["trials"], tables["trial_user_attributes"]
    theirs = select(studies.c.study_id).where(studies.c.study_name == name).scalar_subquery()
    failed = trials.c.study_id == theirs, trials.c.number.in_(numbers), trials.c.state == "FAIL"
    ids = list(connection.execute(select(trials.c.trial_id).where(*failed)).scalars())
    for table in (tables[one] for one in _LEFT_BY_FAILURE):
        connection.execute(delete(table).where(table.c.trial_id.in_(ids)))
    connection.execute(delete(attributes).where(attributes.c.trial_id.in_(ids), attributes.c.key == "error"))
    running = update(trials).where(trials.c.trial_id.in_(ids))
    connection.execute(running.values(state="RUNNING", datetime_complete=None))
    row = EvaluationRow
    recorded = row.study_id == study_id, row.stage == str(Stage.SEARCH), row.status == Status.FAILED
    found = connection.execute(select(row.id, row.remarks).where(*recorded, row.trial.in_(numbers))).all()
    for one in found:
        remarks = [remark for remark in one.remarks if remark != RETRY] + [RETRY]
        connection.execute(update(row).where(row.id == one.id).values(remarks=remarks))


def failure_remarks(remarks: Iterable[Any], attempt: int, error: str | None) -> list[Any]:
    """Returns the remarks on all failed attempts that a new attempt's record carries.

    Args:
        remarks: remarks and alerts of the failed attempt.
        attempt: number of the failed attempt, from 1.
        error: error of the failed attempt.
    """
    lines = (error or "").strip().splitlines()
    before = [one for one in remarks if isinstance(one, str) and one.startswith("attempt ")]
    return [*before, f"attempt {attempt} failed: {(lines or ['no reason given'])[-1][:_LONGEST]}"]
