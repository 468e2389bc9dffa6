"""Failed trials that are to be trained again, under the same number and with the same params."""

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
"""Characters of an error that are kept once another attempt has replaced it."""

_LEFT_BY_FAILURE = ("trial_values", "trial_intermediate_values", "trial_heartbeats")
"""The library's tables with what a trial reached: another attempt begins anew."""


def reopen(connection: Connection, library: Library, study_id: int, name: str, numbers: Sequence[int]) -> None:
    """Lets failed trials run again: they become running ones that nobody trains, as after a crash.

    Args:
        connection: in a transaction.
        library: that keeps the trials.
        study_id: our id of the study.
        name: of the study, in the library.
        numbers: of failed trials.
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


def remarks_of_failure(remarks: Iterable[Any], attempt: int, error: str | None) -> list[Any]:
    """Returns what the record of an attempt says of the failed one before it, and of those before that.

    Args:
        remarks: of the failed one, with its alerts.
        attempt: which one it was, from 1 on.
        error: why it failed.
    """
    lines = (error or "").strip().splitlines()
    before = [one for one in remarks if isinstance(one, str) and one.startswith("attempt ")]
    return [*before, f"attempt {attempt} failed: {(lines or ['no reason was given'])[-1][:_LONGEST]}"]
