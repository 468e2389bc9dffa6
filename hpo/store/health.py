"""What a database is like, found out without changing anything in it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from hpo.core.errors import StorageDamaged, StorageUnavailable
from hpo.core.redaction import masked
from hpo.store.damage import NOT_ONE, damage_of, damaged
from hpo.store.schema import Library
from hpo.store.survey import PATIENCE, Survey, Tables, looking, survey
from hpo.store.unavailable import unavailable
from hpo.store.urls import normalised, sqlite_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """A database that answers.

    Attributes:
        server: what it is, with its version: `SQLite 3.45.1`, `Postgres 16.2`.
        tables: `none`, another program's alone, or ours: of an older shape, of this version's, of a newer one.
        migration: the shape of ours, as a number; None where there are none.
        lacking: names of tables and indexes that should be there and are not.
        unwritable: why nothing may be written, None if it may.
        damage: what is wrong with a SQLite file, None if nothing is.
    """

    server: str
    tables: Tables
    migration: str | None
    lacking: tuple[str, ...]
    unwritable: str | None
    damage: str | None


def health(url: str, library: Library | None = None, *, thorough: bool = False) -> Health | None:
    """Returns what a database is like; None if it is a SQLite file that is not there yet.

    Args:
        url: database URL as SQLAlchemy takes it.
        library: whose tables should be beside ours.
        thorough: whether all of a SQLite file is looked at for damage, which takes seconds where it is large.

    Raises:
        StorageUnavailable: if it cannot be opened.
        StorageDamaged: if it was not looked for damage, and was found damaged all the same.
    """
    url = normalised(url)
    path = sqlite_file(url)
    if path is not None and not os.path.lexists(path) and os.path.isdir(path.absolute().parent):
        return None
    try:
        with looking(url, forced=False) as connection:
            if path is None:
                return _postgres(connection, survey(connection, library))
            server = f"SQLite {connection.execute(text('SELECT sqlite_version()')).scalar()}"
            damage = damage_of(url, thorough=True) if thorough else None
            found = Survey(tables="none") if damage else survey(connection, library)
    except DBAPIError as error:
        if (said := damage_of(url)) not in (None, NOT_ONE):
            raise StorageDamaged(damaged(masked(url), str(said))) from error
        raise StorageUnavailable(unavailable(url, error)) from error
    if damage == NOT_ONE:
        raise StorageUnavailable(
            f"cannot open storage {masked(url)}: {damage}. It is another kind of file; choose another with --storage."
        )
    return Health(
        server=server,
        tables=found.tables,
        migration=found.migration,
        lacking=found.lacking,
        unwritable=None if damage or found.tables == "others" else _unwritable(path),
        damage=damage,
    )


def _unwritable(path: Path) -> str | None:
    """Returns why a SQLite file cannot be written: to ask for the lock of writers is the only honest question."""
    try:
        with closing(sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        return str(error)
    return None


def _postgres(connection: Connection, found: Survey) -> Health:
    server = f"Postgres {str(connection.execute(text('SHOW server_version')).scalar()).split()[0]}"
    unwritable = None
    if connection.execute(text("SHOW transaction_read_only")).scalar() == "on":
        unwritable = "the server takes no writes: it is a standby, or set to read only"
    elif (
        found.tables in {"none", "others", "optuna"}
        and not connection.execute(text("SELECT has_schema_privilege(current_schema(), 'CREATE')")).scalar()
    ):
        unwritable = "this user may not make tables there"
    return Health(
        server=server,
        tables=found.tables,
        migration=found.migration,
        lacking=found.lacking,
        unwritable=unwritable,
        damage=None,
    )
