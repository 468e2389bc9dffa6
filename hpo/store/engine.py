"""SQLAlchemy engines with safe settings: SQLite in WAL mode with immediate transactions, Postgres through psycopg."""

from __future__ import annotations

import sqlite3
import time
import warnings
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import ArgumentError, SAWarning

from hpo.core.errors import StorageUnavailable
from hpo.core.installed import install_line
from hpo.core.redaction import masked
from hpo.store.outage import disable_retries
from hpo.store.urls import parsed_url

BUSY_SECONDS = 10
"""How long one write waits for SQLite's lock; a driver then retries, see `hpo.store.outage`."""

READS = "hpo_reads"
"""The execution option of connections that only read: they do not wait for a writer."""

_POSTGRES = {
    "connect_timeout": 5,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,  # milliseconds; otherwise a lost connection is noticed only after 15 minutes
    "client_encoding": "utf8",  # otherwise texts of a database with SQL_ASCII, the default without a locale, are bytes
}


def make_engine(url: str, *, read_only: bool = False) -> Engine:
    """Returns an engine for a normalized URL.

    Args:
        url: normalized URL of the database.
        read_only: whether the database refuses every change.

    Raises:
        StorageUnavailable: if the driver for it is not installed.
    """
    engine = bare_engine(url, engine_options(url, read_only=read_only))
    prepare(engine, read_only=read_only)
    return engine


def bare_engine(url: str, options: Mapping[str, Any]) -> Engine:
    """Returns a plain SQLAlchemy engine that has not connected yet.

    Args:
        url: normalized URL, see `normalize_url`.
        options: keyword arguments of SQLAlchemy's `create_engine`.

    Raises:
        StorageUnavailable: if the driver for it is not installed, or the URL has parameters that cannot be used.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", SAWarning)  # SQLAlchemy only warns when it ignores a parameter
            return create_engine(url, **options)
    except ModuleNotFoundError as error:
        raise StorageUnavailable(
            f"storage {masked(url)} needs {error.name}; install it with: {install_line('postgres')}"
        ) from error
    except (ValueError, TypeError, ArgumentError, SAWarning) as error:
        raise StorageUnavailable(
            f"storage {masked(url)} has parameters that the database's driver cannot use; check the part after the ?"
        ) from error


def engine_options(url: str, *, read_only: bool = False, patience: int = BUSY_SECONDS) -> dict[str, Any]:
    """Returns options for an engine that notices within seconds when the database goes away or comes back.

    Args:
        url: normalized URL; parameters that it sets itself are kept.
        read_only: whether Postgres refuses every change.
        patience: seconds to wait for SQLite's lock.
    """
    if url.startswith("sqlite"):
        return {"connect_args": {"timeout": patience}}
    query = parsed_url(url).query
    connect: dict[str, Any] = {name: value for name, value in _POSTGRES.items() if name not in query}
    if read_only:
        connect["options"] = f"{query.get('options', '')} -c default_transaction_read_only=on".strip()
    return {"pool_pre_ping": True, "connect_args": connect}


def prepare_optuna(engine: Engine, *, read_only: bool = False) -> None:
    """Gives Optuna's engine our settings, and turns its own retries off: hpo retries instead."""
    prepare(engine, read_only=read_only)
    disable_retries(engine)


def prepare(engine: Engine, *, read_only: bool = False) -> None:
    """Makes a SQLite engine safe for several processes; does nothing to others.

    WAL lets readers read during a write and needs no sync per commit. BEGIN IMMEDIATE takes the write lock at the start
    of a transaction: pysqlite takes it at the first write, so two processes that have read the same waiting row would
    both claim it. A read-only engine changes nothing, not even the journal mode.
    """
    if engine.dialect.name != "sqlite":
        return

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # transactions are begun below, not by the driver
        connection.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")
        if read_only:
            connection.execute("PRAGMA query_only=ON")
            return
        _use_wal(connection)
        for pragma in ("synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        reads = connection.get_execution_options().get(READS)
        connection.exec_driver_sql("BEGIN" if reads or read_only else "BEGIN IMMEDIATE")

    engine.dispose()  # connections opened earlier lack these settings


def _use_wal(connection: Any) -> None:
    """Puts a SQLite file into WAL mode. SQLite ignores its timeout for the lock here."""
    end = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() >= end:
                raise
            time.sleep(0.02)
        else:
            return
