"""Another tool's database, opened so that nothing can be written there."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import quote

from sqlalchemy import create_engine, inspect
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError

from hpo.errors import StorageUnavailable
from hpo.redaction import masked
from hpo.store.engine import engine_options, normalised, sqlite_file
from hpo.store.outage import explained


def read_only(url: str, table: str) -> tuple[str, dict[str, Any]]:
    """Returns the URL and the options of an engine that cannot write.

    Args:
        url: SQLAlchemy's.
        table: that has to be there.

    Raises:
        StorageUnavailable: if the database is missing, or has no such table.
        StorageLost: if it does not answer.
    """
    url = normalised(url)
    shown, path = masked(url), sqlite_file(url)
    options = engine_options(url)
    if path is None:
        said = str(make_url(url).query.get("options", ""))
        options["connect_args"]["options"] = f"{said} -c default_transaction_read_only=on".strip()
    elif not os.path.isfile(path):
        raise StorageUnavailable(f"there is no storage {shown}")
    else:
        file = "file:" + quote(os.path.abspath(path))
        url = URL.create("sqlite", database=file, query={"mode": "ro", "uri": "true"}).render_as_string()
    with explained(shown):
        engine = create_engine(url, **options)
        try:
            found = inspect(engine).has_table(table)
        except DBAPIError as error:
            if path is None or "not a database" not in str(error.orig):
                raise
            found = False
        finally:
            engine.dispose()
    if not found:
        raise StorageUnavailable(f"{shown} is no storage of Optuna's: it has no table {table}")
    return url, options
