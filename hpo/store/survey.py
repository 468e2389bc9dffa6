"""Finds out which tables a database has and who created them, without changing it."""

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
"""The tables that Optuna creates; a test compares them with Optuna's own list."""

SURE = frozenset({"studies", "trials", "version_info"})
"""Tables that together identify a database as Optuna's."""

PATIENCE = 2
"""Seconds to wait for SQLite's lock: a driver holds it for milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """The tables of a database.

    Attributes:
        tables: `none`, `optuna` alone, `others` of another program, or ours: `old`, `current` or `newer` than this hpo.
        migration: migration number of our tables; None if there are none.
        lacking: names of our and the library's missing tables and indexes.
        taken: names that hpo needs and that another program's tables have.
    """

    tables: Tables
    migration: str | None = None
    lacking: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()


def survey(connection: Connection, library: Library | None = None) -> Survey:
    """Returns which tables there are.

    Args:
        connection: connection to the database, only read from.
        library: the library whose tables are checked too; None: only ours.
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
    lacking = schema.missing_names(connection, Base.metadata)
    if library is not None:
        lacking += schema.missing_names(connection, library.metadata)
        if "alembic_version" not in names:
            lacking.append("alembic_version")
    return Survey(tables="current", migration=version, lacking=tuple(lacking))


@contextmanager
def read_only_connection(url: str, *, forced: bool = True) -> Iterator[Connection]:
    """Opens a connection that cannot write, and leaves no trace in a SQLite file or beside it.

    Args:
        url: normalized URL of the database.
        forced: whether Postgres refuses every change.

    Raises:
        StorageUnavailable: if there is no such file, or the database driver is not installed.
    """
    options = engine_options(url, read_only=forced, patience=PATIENCE)
    engine = bare_engine(read_only_file(url), options)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def read_only_file(url: str) -> str:
    """Returns a URL that opens a SQLite file read-only; other URLs are returned unchanged.

    A file in WAL mode that nobody has open is opened as immutable: otherwise SQLite would create two files beside it.

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
    """Returns the URL to read a database for a longer time: its own, unless SQLite cannot open the file with it.

    SQLite creates files beside a WAL file even to read it; where it may not, the file cannot change either.
    """
    path = sqlite_file(url)
    if path is None or os.path.exists(f"{path}-wal"):
        return url
    may_write = os.access(path, os.W_OK) and os.access(path.absolute().parent, os.W_OK)
    return url if may_write else read_only_file(url)


def require_file(url: str, path: Path) -> None:
    """Checks that a path is a regular file; SQLite would wait forever for a pipe.

    Raises:
        StorageUnavailable: if it is not.
    """
    if os.path.isfile(path):
        return
    shown = masked(url)
    if os.path.lexists(path):
        raise StorageUnavailable(
            f"cannot open storage {shown}: it is not a regular file; choose another with --storage"
        )
    if os.path.isdir(path.absolute().parent):
        raise StorageUnavailable(f"storage {shown} does not exist")
    raise StorageUnavailable(f"cannot open storage {shown}: no such folder; choose another with --storage")


def _is_plain(path: Path) -> bool:
    """Whether a SQLite file is not in WAL mode, by two bytes of its header."""
    with path.open("rb") as file:
        header = file.read(20)
    return header[18:20] != b"\x02\x02"
