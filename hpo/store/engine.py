"""Engines that are safe to write through: SQLite in WAL with immediate transactions, Postgres through psycopg."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from hpo.errors import StorageUnavailable, did_you_mean
from hpo.redaction import holds_secret, is_unclear, masked
from hpo.store.outage import unretried

BUSY_SECONDS = 10
"""How long a writer waits for SQLite's lock at a time; a driver tries again, see `hpo.store.outage`."""

READS = "hpo_reads"
"""The execution option of connections that only read: they need not wait for a writer."""

_POSTGRES = {
    "connect_timeout": 5,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,  # milliseconds; a server that is cut off would else be waited for a quarter of an hour
}


def normalised(url: str) -> str:
    """Returns the URL with its driver named: sqlite or postgresql+psycopg.

    Raises:
        StorageUnavailable: if it is no such URL, or one that can be read in two ways.
    """
    parsed = _parsed(url)
    if parsed.drivername == "sqlite":
        return url
    if parsed.drivername in {"postgresql", "postgres", "postgresql+psycopg"}:
        _refuse_unclear(url, parsed)
        return parsed.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
    raise StorageUnavailable(
        f"storage {masked(url)} is neither SQLite nor Postgres; expected sqlite:///hpo.db or postgresql://user@host/name"
    )


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
    try:
        engine = create_engine(url, **engine_options(url))
    except ModuleNotFoundError as error:
        raise StorageUnavailable(
            f"storage {masked(url)} needs {error.name}; install it with: pip install 'hpo[postgres]'"
        ) from error
    prepare(engine)
    return engine


def engine_options(url: str) -> dict[str, Any]:
    """Returns how to make an engine that notices within seconds when the database is gone, and when it is back.

    Args:
        url: normalised; what it says itself is left as it is.
    """
    if url.startswith("sqlite"):
        return {"connect_args": {"timeout": BUSY_SECONDS}}
    said = _parsed(url).query
    connect = {name: value for name, value in _POSTGRES.items() if name not in said}
    return {"pool_pre_ping": True, "connect_args": connect}


def prepare_optuna(engine: Engine) -> None:
    """Makes an engine of Optuna's as safe as ours, and leaves it to us to ask again."""
    prepare(engine)
    unretried(engine)


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
        reads = connection.get_execution_options().get(READS)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    engine.dispose()  # connections that were opened before have neither


def _refuse_unclear(url: str, parsed: URL) -> None:
    """Raises where a part of a password would be taken for something else, and then shown, or asked a name server.

    Raises:
        StorageUnavailable: if an @ or a ? was not escaped, or Postgres knows no parameter of such a name.
    """
    rest = url.partition("://")[2]
    user = rest[: rest.find("@", rest.find(":") + 1)] if "@" in rest else ""
    if is_unclear(url) or "?" in user or any("@" in (part or "") for part in (parsed.host, parsed.database)):
        raise StorageUnavailable(
            f"storage {masked(url)} can be read in two ways; in a user, a password or a parameter write @ as %40, ? as "
            "%3F, / as %2F"
        )
    try:
        from psycopg.pq import Conninfo
    except ImportError:  # said when an engine is made
        return
    known = {one.keyword.decode() for one in Conninfo.get_defaults()}
    for name in sorted(set(parsed.query) - known):
        raise StorageUnavailable(
            f"storage {masked(url)} has a parameter that Postgres does not know.{did_you_mean(name, known)} "
            "In a password write & as %26"
        )


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError) as error:  # ValueError: a port that is no number
        is_path = url.endswith((".db", ".sqlite")) and ":" not in url and not holds_secret(url)
        meant = f" Did you mean sqlite:///{url}?" if is_path else ""
        raise StorageUnavailable(
            f"the storage is not a URL; expected sqlite:///hpo.db or postgresql://user@host/name.{meant}"
        ) from error
