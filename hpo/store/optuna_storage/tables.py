"""Describes Optuna's tables, so that they are created together with ours."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import optuna
from optuna.storages._rdb import models  # its only description of the tables

from hpo.core.errors import StorageUnavailable
from hpo.store import Library, ensure, make_engine


def _finish(connection: Any) -> None:
    """Stores the schema version of the tables, as Optuna does when it creates them."""
    table: Any = models.VersionInfoModel.__table__
    row = connection.execute(table.select()).first()
    if row is None:
        versions = {"schema_version": models.SCHEMA_VERSION, "library_version": optuna.__version__}
        connection.execute(table.insert().values(**versions))
    elif row.schema_version != models.SCHEMA_VERSION:
        raise StorageUnavailable(
            f"Optuna cannot use this storage: its tables have schema {row.schema_version}, created by Optuna "
            f"{row.library_version}; this Optuna needs schema {models.SCHEMA_VERSION}. Choose another with --storage"
        )


def _repair(connection: Any) -> None:
    """Removes empty duplicates of studies, which appear while the index of their names is missing.

    Without the index, each command creates another study of the same name, and cannot use it.

    Raises:
        StorageUnavailable: if two studies of one name hold data.
    """
    studies: Any = models.StudyModel.__table__
    rows = defaultdict(list)
    for row in connection.execute(studies.select().order_by(studies.c.study_id)):
        rows[row.study_name].append(row.study_id)
    for name, ids in rows.items():
        if len(ids) == 1:
            continue
        held = [one for one in ids if _holds_something(connection, one)] or ids[:1]
        if len(held) > 1:
            raise StorageUnavailable(twice(name, held))
        for one in set(ids) - set(held):
            directions: Any = models.StudyDirectionModel.__table__
            connection.execute(directions.delete().where(directions.c.study_id == one))
            connection.execute(studies.delete().where(studies.c.study_id == one))


def _holds_something(connection: Any, study_id: int) -> bool:
    holding = (models.TrialModel, models.StudyUserAttributeModel, models.StudySystemAttributeModel)
    for model in holding:
        table: Any = model.__table__
        if connection.execute(table.select().where(table.c.study_id == study_id).limit(1)).first() is not None:
            return True
    return False


def twice(name: str, ids: list[int]) -> str:
    """Returns the message for several studies of one name."""
    shown = " and ".join(map(str, ids))
    return (
        f"Optuna's tables hold study {name!r} {len(ids)} times (study_id {shown}), and its index of names is missing: "
        "a process was killed while it created the tables. Make a copy of the database, then give one of them another "
        f"name: UPDATE studies SET study_name = '{name}-old' WHERE study_id = {ids[-1]}"
    )


OPTUNA = Library(
    name="Optuna",
    metadata=models.BaseModel.metadata,
    scripts=Path(models.__file__).parent / "alembic",
    repair=_repair,
    finish=_finish,
)
"""The tables that Optuna's RDBStorage uses."""


def make_tables(url: str) -> None:
    """Creates or repairs Optuna's tables in a database, all or none."""
    engine = make_engine(url)
    try:
        ensure(engine, OPTUNA, ours=False)
    finally:
        engine.dispose()
