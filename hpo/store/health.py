"""Checks a database without changing anything in it."""

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
from hpo.store.damage import NOT_A_DATABASE, damaged, find_damage
from hpo.store.schema import Library
from hpo.store.survey import PATIENCE, Survey, Tables, read_only_connection, survey
from hpo.store.unavailable import unavailable
from hpo.store.urls import normalize_url, sqlite_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The state of a database that answers.

    Attributes:
        server: kind and version, e.g. `SQLite 3.45.1`, `Postgres 16.2`.
        tables: whose tables it has, and for ours whether they are older, current or newer; see `Survey`.
        migration: migration number of our tables; None if there are none.
        lacking: names of the missing tables and indexes.
        unwritable: why it cannot be written, None if it can.
        damage: what is wrong with a SQLite file, None if nothing is.
    """

    server: str
    tables: Tables
    migration: str | None
    lacking: tuple[str, ...]
    unwritable: str | None
    damage: str | None


def health(url: str, library: Library | None = None, *, thorough: bool = False) -> Health | None:
    """Returns the state of a database; None for a SQLite file that does not exist yet.

    Args:
        url: database URL as SQLAlchemy takes it.
        library: the library whose tables should stand beside ours.
        thorough: whether the whole SQLite file is checked for damage, which takes seconds if it is large.

    Raises:
        StorageUnavailable: if it cannot be opened.
        StorageDamaged: if it is found damaged although `thorough` was off.
    """
    url = normalize_url(url)
    path = sqlite_file(url)
    if path is not None and not os.path.lexists(path) and os.path.isdir(path.absolute().parent):
        return None
    try:
        with read_only_connection(url, forced=False) as connection:
            if path is None:
                return _postgres(connection, survey(connection, library))
            server = f"SQLite {connection.execute(text('SELECT sqlite_version()')).scalar()}"
            damage = find_damage(url, thorough=True) if thorough else None
            found = Survey(tables="none") if damage else survey(connection, library)
    except DBAPIError as error:
        if (found_damage := find_damage(url)) not in (None, NOT_A_DATABASE):
            raise StorageDamaged(damaged(masked(url), str(found_damage))) from error
        raise StorageUnavailable(unavailable(url, error)) from error
    if damage == NOT_A_DATABASE:
        raise StorageUnavailable(
            f"cannot open storage {masked(url)}: {damage}. It is another kind of file; choose another with --storage"
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
    """Returns why a SQLite file cannot be written; only taking the write lock tells for sure."""
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
        unwritable = "the server refuses writes: it is a standby, or set to read-only"
    elif (
        found.tables in {"none", "others", "optuna"}
        and not connection.execute(text("SELECT has_schema_privilege(current_schema(), 'CREATE')")).scalar()
    ):
        unwritable = "this user may not create tables there"
    return Health(
        server=server,
        tables=found.tables,
        migration=found.migration,
        lacking=found.lacking,
        unwritable=unwritable,
        damage=None,
    )
