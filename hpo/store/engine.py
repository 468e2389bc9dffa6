"""Engines that are safe to write through: SQLite in WAL with immediate transactions, Postgres through psycopg."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from hpo.errors import StorageUnavailable

BUSY_SECONDS = 60
"""How long a writer waits for SQLite's lock."""


def normalised(url: str) -> str:
    """Returns the URL with its driver named: sqlite or postgresql+psycopg.

    Raises:
        StorageUnavailable: if it is no such URL.
    """
    parsed = _parsed(url)
    if parsed.drivername == "sqlite":
        return url
    if parsed.drivername in {"postgresql", "postgres", "postgresql+psycopg"}:
        return parsed.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
    raise StorageUnavailable(
        f"storage {masked(url)} is neither SQLite nor Postgres; expected sqlite:///hpo.db or postgresql://user@host/name"
    )


def masked(url: str) -> str:
    """Returns the URL as it may be shown: without its password."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return "(not a URL)"  # whatever it is, it may hold a password
    hidden = {name: "***" for name in parsed.query if "password" in name.lower()}
    return parsed.update_query_dict(hidden).render_as_string(hide_password=True)


def sqlite_file(url: str) -> Path | None:
    """Returns the file of a SQLite URL, None for another database.

    Raises:
        StorageUnavailable: if the database would be in memory.
    """
    parsed = _parsed(url)
    if parsed.drivername != "sqlite":
        return None
    if not parsed.database or parsed.database == ":memory:" or parsed.database.startswith("file:"):
        raise StorageUnavailable("a SQLite storage needs a file, e.g. sqlite:///hpo.db; one in memory would be lost")
    return Path(parsed.database)


def make_engine(url: str) -> Engine:
    """Returns an engine for a normalised URL.

    Raises:
        StorageUnavailable: if the driver for it is not installed.
    """
    options: dict[str, Any] = {"connect_args": {"timeout": BUSY_SECONDS}}
    if not url.startswith("sqlite"):
        options = {"pool_pre_ping": True}
    try:
        engine = create_engine(url, **options)
    except ModuleNotFoundError as error:
        raise StorageUnavailable(
            f"storage {masked(url)} needs {error.name}; install it with: pip install 'hpo[postgres]'"
        ) from error
    prepare(engine)
    return engine


def prepare(engine: Engine) -> None:
    """Makes a SQLite engine safe for several processes; does nothing to others.

    WAL lets readers read while one writes and costs no sync per commit. BEGIN IMMEDIATE takes the write lock at the
    beginning of a transaction: pysqlite would take it at the first write, and two processes that had read the same
    waiting row would both take it.
    """
    if engine.dialect.name != "sqlite":
        return

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # transactions are begun below, not by the driver
        for pragma in (
            "journal_mode=WAL",
            "synchronous=NORMAL",
            f"busy_timeout={BUSY_SECONDS * 1000}",
            "foreign_keys=ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    engine.dispose()  # connections that were opened before have neither


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError) as error:  # ValueError: a port that is no number
        meant = f" Did you mean sqlite:///{url}?" if url.endswith((".db", ".sqlite")) and ":" not in url else ""
        raise StorageUnavailable(
            f"the storage is not a URL; expected sqlite:///hpo.db or postgresql://user@host/name.{meant}"
        ) from error
