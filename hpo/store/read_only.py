"""Read-only access to a database of another tool."""

from __future__ import annotations

from typing import Any

from sqlalchemy import inspect
from sqlalchemy.exc import DBAPIError

from hpo.core.errors import StorageUnavailable
from hpo.core.redaction import masked
from hpo.store.engine import bare_engine, engine_options
from hpo.store.outage import explain_errors
from hpo.store.survey import read_only_file
from hpo.store.urls import normalize_url


def read_only(url: str, table: str) -> tuple[str, dict[str, Any]]:
    """Returns the URL and the options for an engine that cannot write.

    Args:
        url: database URL as SQLAlchemy takes it.
        table: a table that must exist.

    Raises:
        StorageUnavailable: if the database or the table is missing.
        StorageLost: if it does not answer.
        StorageDamaged: if its pages are damaged.
    """
    url = normalize_url(url)
    shown, options = masked(url), engine_options(url, read_only=True)
    with explain_errors(url, shown):
        url = read_only_file(url)
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
        raise StorageUnavailable(f"{shown} is not an Optuna storage: it has no table {table}")
    return url, options
