"""What a database is like, found out without changing anything in it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.exc import DBAPIError

from hpo.errors import StorageUnavailable
from hpo.redaction import masked
from hpo.store import schema
from hpo.store.engine import engine_options, normalised, sqlite_file
from hpo.store.store import unavailable

PATIENCE = 2
"""Seconds to wait for SQLite's lock: a driver holds it for milliseconds."""

Tables = Literal["none", "others", "old", "current", "newer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """A database that answers.

    Attributes:
        server: what it is, with its version: `SQLite 3.45.1`, `Postgres 16.2`.
        tables: `none`, another program's alone, or ours: of an older shape, of this version's, of a newer one.
        migration: the shape of ours, as a number; None where there are none.
        unwritable: why nothing may be written, None if it may.
    """

    server: str
    tables: Tables
    migration: str | None
    unwritable: str | None


def health(url: str) -> Health | None:
    """Returns what a database is like; None if it is a SQLite file that is not there yet.

    Raises:
        StorageUnavailable: if it cannot be opened.
    """
    url = normalised(url)
    path = sqlite_file(url)
    if path is not None:
        if not os.path.lexists(path) and os.path.isdir(path.absolute().parent):
            return None
        if not os.path.isfile(path):  # SQLite would make it
            raise StorageUnavailable(
                f"cannot open storage {masked(url)}: {'it is no file' if os.path.lexists(path) else 'no such folder'}; "
                "choose another with --storage"
            )
    options = engine_options(url) if path is None else {"connect_args": {"timeout": PATIENCE}}
    try:
        engine = create_engine(url, **options)
    except ModuleNotFoundError as error:
        raise StorageUnavailable(
            f"storage {masked(url)} needs {error.name}; install it with: pip install 'hpo[postgres]'"
        ) from error
    try:
        with engine.connect() as connection:
            return _sqlite(connection) if path is not None else _postgres(connection)
    except DBAPIError as error:
        raise StorageUnavailable(unavailable(url, error)) from error
    finally:
        engine.dispose()


def _sqlite(connection: Connection) -> Health:
    server = f"SQLite {connection.execute(text('SELECT sqlite_version()')).scalar()}"
    tables, migration = _tables(connection)
    connection.rollback()
    unwritable = None
    try:  # to ask for the lock of writers is the only honest question; it is given back at once
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        connection.exec_driver_sql("ROLLBACK")
    except DBAPIError as error:
        unwritable = str(error.orig)
    return Health(server=server, tables=tables, migration=migration, unwritable=unwritable)


def _postgres(connection: Connection) -> Health:
    server = f"Postgres {str(connection.execute(text('SHOW server_version')).scalar()).split()[0]}"
    tables, migration = _tables(connection)
    unwritable = None
    if connection.execute(text("SHOW transaction_read_only")).scalar() == "on":
        unwritable = "the server takes no writes: it is a standby, or set to read only"
    elif (
        tables in {"none", "others"}
        and not connection.execute(text("SELECT has_schema_privilege(current_schema(), 'CREATE')")).scalar()
    ):
        unwritable = "this user may not make tables there"
    return Health(server=server, tables=tables, migration=migration, unwritable=unwritable)


def _tables(connection: Connection) -> tuple[Tables, str | None]:
    names = inspect(connection).get_table_names()
    if schema.VERSION_TABLE not in names:
        return ("others" if names else "none"), None
    version = connection.execute(text(f"SELECT version_num FROM {schema.VERSION_TABLE}")).scalar()
    if version == schema.HEAD:
        return "current", version
    return ("old" if version is None or version < schema.HEAD else "newer"), version
