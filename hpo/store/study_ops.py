"""Deletes, renames and copies whole studies, in our tables and the library's, each in one transaction."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, delete, insert, select, update

from hpo.core.records import digest
from hpo.store.schema import Library
from hpo.store.tables import CostRow, EvaluationRow, StudyRow, now

UID = "hpo:uid"
"""The attribute that links a library's study to ours."""

_CHUNK = 500
"""Rows inserted at a time."""

_OWN = ("id", "uid", "name", "content", "digest", "created_at", "paused_at", "job")
"""Columns of a study that are not copied."""


def delete_study(connection: Connection, library: Library, study_id: int, name: str) -> int:
    """Deletes a study with all its data, and returns how many trials the library had.

    Args:
        connection: one within a transaction.
        library: the library that stores the trials; they may be missing already.
        study_id: our id of the study.
        name: name of the study in both.
    """
    tables = library.metadata.tables
    studies, trials = tables["studies"], tables["trials"]
    theirs = select(studies.c.study_id).where(studies.c.study_name == name)
    count = 0
    for table in reversed(library.metadata.sorted_tables):  # referencing tables first
        if "trial_id" in table.c and table is not trials:
            of_study = select(trials.c.trial_id).where(trials.c.study_id.in_(theirs))
            connection.execute(delete(table).where(table.c.trial_id.in_(of_study)))
        elif "study_id" in table.c:
            gone = connection.execute(delete(table).where(table.c.study_id.in_(theirs))).rowcount
            count = gone if table is trials else count
    connection.execute(delete(StudyRow).where(StudyRow.id == study_id))  # cascades to the tables that reference it
    return count


def rename_study(connection: Connection, library: Library, study_id: int, old: str, new: str) -> None:
    """Renames a study; its uid stays, so everything linked to it does too.

    Args:
        connection: one within a transaction.
        library: the library that stores the trials.
        study_id: our id of the study.
        old: current name of the study.
        new: name that no study has.
    """
    studies = library.metadata.tables["studies"]
    connection.execute(update(studies).where(studies.c.study_name == old).values(study_name=new))
    content = {**connection.execute(select(StudyRow.content).where(StudyRow.id == study_id)).scalar_one(), "name": new}
    values = {"name": new, "content": content, "digest": digest(content)}
    connection.execute(update(StudyRow).where(StudyRow.id == study_id).values(**values))


def copy_study(connection: Connection, library: Library, study_id: int, old: str, new: str) -> tuple[int, int]:
    """Copies a study with its trials and evaluations, and returns the number of each.

    Promotions are not copied: the result folders that they name belong to the first study.

    Args:
        connection: one within a transaction.
        library: the library that stores the trials.
        study_id: our id of the first study.
        old: name of the study to copy.
        new: name that no study has.
    """
    row = connection.execute(select(StudyRow.__table__).where(StudyRow.id == study_id)).one()._mapping
    content, uid = {**row["content"], "name": new}, str(uuid.uuid4())
    own = {"uid": uid, "name": new, "content": content, "digest": digest(content), "created_at": now()}
    values = {name: value for name, value in row.items() if name not in _OWN} | own
    copied = connection.execute(insert(StudyRow).values(**values).returning(StudyRow.id)).scalar_one()
    evaluations = _copied(connection, _table(EvaluationRow), "study_id", {study_id: copied}, own_key="id")
    _copied(connection, _table(CostRow), "study_id", {study_id: copied}, own_key="id")
    return _copy_trials(connection, library, old, new, uid), evaluations


def _copy_trials(connection: Connection, library: Library, old: str, new: str, uid: str) -> int:
    tables = library.metadata.tables
    studies, trials = tables["studies"], tables["trials"]
    source = connection.execute(select(studies.c.study_id).where(studies.c.study_name == old)).scalar()
    if source is None:  # never run, or deleted there
        return 0
    made = connection.execute(insert(studies).values(study_name=new).returning(studies.c.study_id)).scalar_one()
    for table in library.metadata.sorted_tables:
        if "study_id" in table.c and table not in (studies, trials):
            _copied(connection, table, "study_id", {source: made}, own_key=_key_of(table))
    attributes = tables["study_user_attributes"]
    tied = update(attributes).where(attributes.c.study_id == made, attributes.c.key == UID)
    connection.execute(tied.values(value_json=json.dumps(uid)))
    of_first = select(trials).where(trials.c.study_id == source).order_by(trials.c.number)
    ids = {}
    for row in connection.execute(of_first).all():
        values = {**row._mapping, "study_id": made}
        first = values.pop("trial_id")
        ids[first] = connection.execute(insert(trials).values(**values).returning(trials.c.trial_id)).scalar_one()
    for table in library.metadata.sorted_tables:
        if "trial_id" in table.c and table is not trials:
            _copied(connection, table, "trial_id", ids, own_key=_key_of(table))
    return len(ids)


def _copied(connection: Connection, table: Table, column: str, ids: Mapping[int, int], *, own_key: str) -> int:
    """Copies rows to new foreign keys, as `ids` maps them, and returns how many there were."""
    count = 0
    known = list(ids)
    for start in range(0, len(known), _CHUNK):
        found = select(table).where(table.c[column].in_(known[start : start + _CHUNK])).order_by(table.c[own_key])
        rows: Sequence[Any] = connection.execute(found).all()
        new = [{**row._mapping, column: ids[row._mapping[column]]} for row in rows]
        for one in new:
            del one[own_key]
        for first in range(0, len(new), _CHUNK):
            connection.execute(insert(table), new[first : first + _CHUNK])
        count += len(new)
    return count


def _key_of(table: Table) -> str:
    [column] = table.primary_key.columns
    return column.name


def _table(row: Any) -> Table:
    table: Table = row.__table__
    return table
