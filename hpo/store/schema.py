"""Brings a database's hpo_* tables to this version's shape; Optuna's tables are left alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Engine, inspect, text

from hpo.errors import StorageUnavailable
from hpo.redaction import masked

HEAD = "0006"
"""The newest migration; a test compares it with alembic's own answer."""

VERSION_TABLE = "hpo_alembic_version"
MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(engine: Engine) -> None:
    """Creates or migrates the tables; does nothing, and loads no alembic, where they are up to date.

    Raises:
        StorageUnavailable: if a newer version of this package made them.
    """
    version = _version(engine)
    if version == HEAD:
        return
    if version is not None and version > HEAD:
        raise StorageUnavailable(
            f"storage {masked(engine.url.render_as_string(hide_password=False))} was made by a newer hpo: its "
            f"tables are of migration {version}, this hpo knows them up to {HEAD}; use that hpo, or choose another "
            "with --storage"
        )
    from alembic import command

    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), "head")


def is_there(engine: Engine) -> bool:
    """Whether the database has our tables, of whatever version."""
    return _version(engine) is not None


def alembic_config(connection: Any) -> Any:
    """Returns alembic's configuration for one connection."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _version(engine: Engine) -> str | None:
    if not inspect(engine).has_table(VERSION_TABLE):
        return None
    with engine.connect() as connection:
        return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
