"""Another tool's database, opened so that nothing can be written there."""

from __future__ import annotations

from typing import Any

from sqlalchemy import inspect
from sqlalchemy.exc import DBAPIError

from hpo.core.errors import StorageUnavailable
from hpo.core.redaction import masked
from hpo.store.engine import bare_engine, engine_options
from hpo.store.outage import explained
from hpo.store.survey import untouched
from hpo.store.urls import normalised


def read_only(url: str, table: str) -> tuple[str, dict[str, Any]]:
    """Returns the URL and the options of an engine that cannot write.

    Args:
        url: database URL as SQLAlchemy takes it.
        table: that has to be there.

    Raises:
        StorageUnavailable: if the database is missing, or has no such table.
        StorageLost: if it does not answer.
        StorageDamaged: if its pages are damaged.
    """
    url = normalised(url)
    shown, options = masked(url), engine_options(url, read_only=True)
    with explained(url, shown):
        url = untouched(url)
        engine = bare_engine(url, options)
        try:
            found = inspect(engine).has_table(table)
        except DBAPIError as error:
            if "not a database" not in str(error.orig):
                raise
            found = False
        finally:
            engine.dispose()
    if not found:
        raise StorageUnavailable(f"{shown} is no storage of Optuna's: it has no table {table}")
    return url, options
