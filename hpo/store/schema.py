"""Creates, migrates and repairs our tables, and a library's beside them, in one transaction."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, MetaData, inspect, text
from sqlalchemy.exc import IntegrityError

from hpo.core.errors import StorageUnavailable
from hpo.core.redaction import masked
from hpo.store.tables import Base

HEAD = "0010"
"""The newest migration; a test compares it with alembic's own answer."""

VERSION_TABLE = "hpo_alembic_version"
MIGRATIONS = Path(__file__).parent / "migrations"

TABLES_LOCK = 0x68706EFFFFFFFF
"""Key of Postgres's advisory lock for creating tables; the keys above it are for studies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """The tables of a library that stand beside ours, as its own package describes them.

    Attributes:
        name: name of the library, for messages.
        metadata: its tables with their indexes.
        scripts: folder of its alembic migrations.
        repair: called before a missing index is created, to remove rows that would violate it.
        finish: called at the end, to add the rows that the library expects; raises if the tables are too old.
    """

    name: str
    metadata: MetaData
    scripts: Path
    repair: Callable[[Connection], None]
    finish: Callable[[Connection], None]


def ensure(engine: Engine, library: Library | None = None, *, ours: bool = True) -> None:
    """Creates, migrates or repairs the tables in one transaction, one process at a time.

    A process that is killed here leaves the database unchanged, and concurrent calls all succeed.

    Args:
        engine: engine of the database; for SQLite one set up by `hpo.store.engine.prepare`.
        library: the library whose tables are created too; None: none.
        ours: whether our own tables are created.

    Raises:
        StorageUnavailable: if a newer hpo created our tables, or an index cannot be created.
    """
    import alembic.command  # takes 0.1 s, so it comes before the lock

    with exclusive_transaction(engine) as connection:
        if ours:
            version = version_of(connection)
            check_not_newer(version, engine)
            if version is not None:
                check_migration(version, _shown(engine))
            if version is None and not _has_ours(connection):
                _make_ours(connection)
            elif version != HEAD:
                alembic.command.upgrade(alembic_config(connection), "head")
            _complete(connection, Base.metadata)
        if library is not None:
            _make_library(connection, library)


@contextmanager
def exclusive_transaction(engine: Engine) -> Iterator[Connection]:
    """Opens a transaction in which no other process can create tables."""
    with engine.begin() as connection:  # BEGIN IMMEDIATE on SQLite, which excludes all other writers
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": TABLES_LOCK})
        yield connection


def missing_names(connection: Connection, metadata: MetaData) -> list[str]:
    """Returns the names of the tables and indexes that are missing."""
    inspector = inspect(connection)
    names = set(inspector.get_table_names())
    missing = [name for name in metadata.tables if name not in names]
    found = inspector.get_multi_indexes(filter_names=[name for name in metadata.tables if name in names])
    indexes = {index["name"] for of_table in found.values() for index in of_table}
    wanted = [str(index.name) for table in metadata.sorted_tables for index in table.indexes]
    return missing + [name for name in wanted if name not in indexes]


def version_of(connection: Connection) -> str | None:
    """Returns the migration of our tables; None if there are none."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()


def check_not_newer(version: str | None, engine: Engine) -> None:
    """Checks that our tables are not newer than this version of hpo.

    Raises:
        StorageUnavailable: if they are newer.
    """
    if version is not None and version > HEAD:
        raise StorageUnavailable(
            f"storage {_shown(engine)} was created by a newer hpo: its tables are at "
            f"migration {version}, this hpo supports up to {HEAD}; use the newer hpo, or choose another with --storage"
        )


def check_migration(version: str | None, shown: str) -> None:
    """Checks that the version table holds one of our migrations.

    Args:
        version: content of the version table; None: empty.
        shown: URL of the database, without a password.

    Raises:
        StorageUnavailable: if it holds something else.
    """
    if version is None or not re.fullmatch("[0-9]{4}", version) or version == "0000":
        raise StorageUnavailable(
            f"storage {shown} has a table {VERSION_TABLE} that holds {version or 'nothing'}, which is not a migration "
            "of hpo: the table belongs to another program, or was changed; choose another with --storage"
        )


def alembic_config(connection: Any) -> Any:
    """Returns alembic's configuration for one connection."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


@cache
def scripts_of(folder: Path) -> Any:
    """Returns the migrations in a folder; a process reads them once, since each is a module to be run."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory(str(folder))


def _has_ours(connection: Connection) -> bool:
    return any(name in Base.metadata.tables for name in inspect(connection).get_table_names())


def _make_ours(connection: Connection) -> None:
    """Creates our tables as they are now: in an empty database the migrations would come to the same, in 0.2 s."""
    from alembic.migration import MigrationContext

    Base.metadata.create_all(connection)
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    context.stamp(scripts_of(MIGRATIONS), HEAD)


def _make_library(connection: Connection, library: Library) -> None:
    """Creates or completes a library's tables as its own code would; tables of another version are left alone."""
    from alembic.migration import MigrationContext

    script = scripts_of(library.scripts)
    context = MigrationContext.configure(connection)
    head, revision = script.get_current_head(), context.get_current_revision()
    if revision not in (None, head):
        return  # the library itself reports what to do
    library.metadata.create_all(connection)
    if missing_names(connection, library.metadata):
        library.repair(connection)
    _complete(connection, library.metadata)
    library.finish(connection)
    if revision is None and head is not None:
        context.stamp(script, head)


def _complete(connection: Connection, metadata: MetaData) -> None:
    """Creates missing tables, and the missing indexes of existing ones, which `create_all` ignores."""
    metadata.create_all(connection)
    for table in metadata.sorted_tables:
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            try:
                index.create(connection, checkfirst=True)
            except IntegrityError as error:
                columns = ", ".join(column.name for column in index.columns)
                raise StorageUnavailable(
                    f"storage {_shown(connection.engine)} is damaged: its index "
                    f"{index.name} is missing, and cannot be created because table {table.name} has rows with the same "
                    f"{columns}. Make a copy, then remove or rename one of them, or choose another with --storage"
                ) from error


def _shown(engine: Engine) -> str:
    return masked(engine.url.render_as_string(hide_password=False))
