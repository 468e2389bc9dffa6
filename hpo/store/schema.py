"""Makes, migrates and repairs the tables of a database in one step: ours, and those of the library beside them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, MetaData, inspect, text
from sqlalchemy.exc import IntegrityError

from hpo.core.errors import StorageUnavailable
from hpo.core.redaction import masked
from hpo.store.tables import Base

HEAD = "0008"
"""The newest migration; a test compares it with alembic's own answer."""

VERSION_TABLE = "hpo_alembic_version"
MIGRATIONS = Path(__file__).parent / "migrations"

TABLES_LOCK = 0x68706EFFFFFFFF
"""Key of the advisory lock that Postgres gives to one maker of tables at a time; studies have the keys above it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """The tables of a library that are kept beside ours, as its own package describes them.

    Attributes:
        name: of the library, for messages.
        metadata: its tables with their indexes.
        scripts: folder of its own alembic migrations.
        mend: called before a missing index is made, to remove rows that would be in its way.
        fill: called at the end, to add the rows that the library expects; raises where the tables are too old.
    """

    name: str
    metadata: MetaData
    scripts: Path
    mend: Callable[[Connection], None]
    fill: Callable[[Connection], None]


def ensure(engine: Engine, library: Library | None = None, *, ours: bool = True) -> None:
    """Creates, migrates or repairs the tables in one transaction, one process at a time.

    A process that is killed here leaves the database as it found it, and several that come at once all succeed.

    Args:
        engine: of the database; for SQLite one that `hpo.store.engine.prepare` has prepared.
        library: whose tables are to be there too; None: none.
        ours: whether our own tables are to be there.

    Raises:
        StorageUnavailable: if a newer version of this package made our tables, or an index cannot be made.
    """
    import alembic.command  # takes a tenth of a second, in which nobody should wait for the lock

    with one_step(engine) as connection:
        if ours:
            version = version_of(connection)
            refuse_newer(version, engine)
            if version is not None:
                refuse_unknown(version, _shown(engine))
            alembic.command.upgrade(alembic_config(connection), "head")
            _complete(connection, Base.metadata)
        if library is not None:
            _make_library(connection, library)


@contextmanager
def one_step(engine: Engine) -> Iterator[Connection]:
    """Gives a transaction in which no other process makes tables."""
    with engine.begin() as connection:  # BEGIN IMMEDIATE on SQLite: it keeps out everybody who writes
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": TABLES_LOCK})
        yield connection


def lacks(connection: Connection, metadata: MetaData) -> list[str]:
    """Returns the names of the tables and indexes that are missing."""
    inspector = inspect(connection)
    names = set(inspector.get_table_names())
    missing = [name for name in metadata.tables if name not in names]
    found = inspector.get_multi_indexes(filter_names=[name for name in metadata.tables if name in names])
    indexes = {index["name"] for of_table in found.values() for index in of_table}
    wanted = [str(index.name) for table in metadata.sorted_tables for index in table.indexes]
    return missing + [name for name in wanted if name not in indexes]


def version_of(connection: Connection) -> str | None:
    """Returns the migration of our tables; None if they are not there."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()


def refuse_newer(version: str | None, engine: Engine) -> None:
    """Raises where our tables are of a migration that this version does not know.

    Raises:
        StorageUnavailable: if they are.
    """
    if version is not None and version > HEAD:
        raise StorageUnavailable(
            f"storage {_shown(engine)} was made by a newer hpo: its tables are of "
            f"migration {version}, this hpo knows them up to {HEAD}; use that hpo, or choose another with --storage"
        )


def refuse_unknown(version: str | None, shown: str) -> None:
    """Raises where a table of the name of ours does not hold one of our migrations.

    Args:
        version: what it holds; None: nothing.
        shown: the database's URL, as it may be shown.

    Raises:
        StorageUnavailable: if it does not.
    """
    if version is None or not re.fullmatch("[0-9]{4}", version) or version == "0000":
        raise StorageUnavailable(
            f"storage {shown} has a table {VERSION_TABLE} that holds {version or 'nothing'}, which is no migration of "
            "hpo's: it is another program's, or was changed; choose another with --storage"
        )


def alembic_config(connection: Any) -> Any:
    """Returns alembic's configuration for one connection."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _make_library(connection: Connection, library: Library) -> None:
    """Makes a library's tables as its own code would, or completes them; those of another version stay as they are."""
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    script = ScriptDirectory(str(library.scripts))
    context = MigrationContext.configure(connection)
    head, revision = script.get_current_head(), context.get_current_revision()
    if revision not in (None, head):
        return  # the library says itself what is to be done about it
    library.metadata.create_all(connection)
    if lacks(connection, library.metadata):
        library.mend(connection)
    _complete(connection, library.metadata)
    library.fill(connection)
    if revision is None and head is not None:
        context.stamp(script, head)


def _complete(connection: Connection, metadata: MetaData) -> None:
    """Makes missing tables, and the missing indexes of those that are there, which `create_all` leaves alone."""
    metadata.create_all(connection)
    for table in metadata.sorted_tables:
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            try:
                index.create(connection, checkfirst=True)
            except IntegrityError as error:
                columns = ", ".join(column.name for column in index.columns)
                raise StorageUnavailable(
                    f"storage {_shown(connection.engine)} is damaged: its index "
                    f"{index.name} is missing, and cannot be made because table {table.name} has rows with the same "
                    f"{columns}. Make a copy, then remove or rename one of them, or choose another with --storage"
                ) from error


def _shown(engine: Engine) -> str:
    return masked(engine.url.render_as_string(hide_password=False))
