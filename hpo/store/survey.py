"""What tables a database has and whose they are, found out without changing a byte of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from sqlalchemy import Connection, inspect, text
from sqlalchemy.engine import URL

from hpo.core.errors import StorageUnavailable
from hpo.core.redaction import masked
from hpo.store import schema
from hpo.store.engine import bare_engine, engine_options
from hpo.store.schema import HEAD, VERSION_TABLE, Library
from hpo.store.tables import Base
from hpo.store.urls import sqlite_file

Tables = Literal["none", "others", "optuna", "old", "current", "newer"]

OPTUNA_TABLES = frozenset(
    {
        "alembic_version",
        "studies",
        "study_directions",
        "study_system_attributes",
        "study_user_attributes",
        "trial_heartbeats",
        "trial_intermediate_values",
        "trial_params",
        "trial_system_attributes",
        "trial_user_attributes",
        "trial_values",
        "trials",
        "version_info",
    }
)
"""The names of the tables that Optuna makes; a test compares them with its own."""

SURE = frozenset({"studies", "trials", "version_info"})
"""Tables that tell a database of Optuna's from one of another program that has a table of such a name."""

PATIENCE = 2
"""Seconds to wait for SQLite's lock: a driver holds it for milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """The tables of a database.

    Attributes:
        tables: `none`; Optuna's alone; another program's; or ours, of an older migration, of this one, of a newer one.
        migration: of ours, as a number; None where there are none.
        lacking: names of tables and indexes that ours, or the library's beside them, should have and do not.
        taken: names of tables of another program that we would need.
    """

    tables: Tables
    migration: str | None = None
    lacking: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()


def survey(connection: Connection, library: Library | None = None) -> Survey:
    """Returns what tables there are.

    Args:
        connection: to the database; it is only read.
        library: whose tables are to be beside ours; None: those are not looked at.
    """
    names = set(inspect(connection).get_table_names())
    if VERSION_TABLE not in names:
        if not names:
            return Survey(tables="none")
        if names >= SURE or names <= OPTUNA_TABLES:
            return Survey(tables="optuna")
        wanted = {*Base.metadata.tables, VERSION_TABLE, *OPTUNA_TABLES}
        return Survey(tables="others", taken=tuple(sorted(names & wanted)))
    version = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
    if version != HEAD:
        return Survey(tables="old" if version is None or version < HEAD else "newer", migration=version)
    lacking = schema.lacks(connection, Base.metadata)
    if library is not None:
        lacking += schema.lacks(connection, library.metadata)
        if "alembic_version" not in names:
            lacking.append("alembic_version")
    return Survey(tables="current", migration=version, lacking=tuple(lacking))


@contextmanager
def looking(url: str, *, forced: bool = True) -> Iterator[Connection]:
    """Gives a connection that cannot write, and leaves no trace in a SQLite file or beside it.

    Args:
        url: database URL, normalised by `hpo.store.urls`.
        forced: whether Postgres is told to refuse everything that would change the database.

    Raises:
        StorageUnavailable: if there is no such file, or the driver for the database is not installed.
    """
    options = engine_options(url, read_only=forced, patience=PATIENCE)
    engine = bare_engine(untouched(url), options)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def untouched(url: str) -> str:
    """Returns a URL by which a SQLite file can be read and not changed; any other is returned as it is.

    A file in WAL mode that nobody has open is read as an immutable one: SQLite would else make two files beside it.

    Raises:
        StorageUnavailable: if there is no such file.
    """
    path = sqlite_file(url)
    if path is None:
        return url
    require_file(url, path)
    how = {"mode": "ro"} if _is_plain(path) or os.path.exists(f"{path}-wal") else {"immutable": "1"}
    file = "file:" + quote(os.path.abspath(path))
    return URL.create("sqlite", database=file, query={**how, "uri": "true"}).render_as_string()


def readable(url: str) -> str:
    """Returns the URL by which a database is read for long: its own, unless SQLite could not open the file there.

    SQLite makes files beside one in WAL mode, also to read it; where it may not, the file cannot change either.
    """
    path = sqlite_file(url)
    if path is None or os.path.exists(f"{path}-wal"):
        return url
    may_write = os.access(path, os.W_OK) and os.access(path.absolute().parent, os.W_OK)
    return url if may_write else untouched(url)


def require_file(url: str, path: Path) -> None:
    """Raises where there is something else than a file; SQLite would never stop waiting for a pipe.

    Raises:
        StorageUnavailable: if there is none.
    """
    if os.path.isfile(path):
        return
    shown = masked(url)
    if os.path.lexists(path):
        raise StorageUnavailable(f"cannot open storage {shown}: it is no file; choose another with --storage")
    if os.path.isdir(path.absolute().parent):
        raise StorageUnavailable(f"there is no storage {shown}")
    raise StorageUnavailable(f"cannot open storage {shown}: no such folder; choose another with --storage")


def _is_plain(path: Path) -> bool:
    """Whether a SQLite file is not in WAL mode, by the two bytes of its header that say so."""
    with path.open("rb") as file:
        header = file.read(20)
    return header[18:20] != b"\x02\x02"
