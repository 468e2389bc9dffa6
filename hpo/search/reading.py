"""Reads what another tool found, wherever that is."""

from __future__ import annotations

import os
from pathlib import Path

from hpo.core.errors import UsageError
from hpo.core.redaction import masked
from hpo.search.imports import Foreign, read_foreign
from hpo.search.table_import import Columns, read_ray, read_table
from hpo.store import explain_errors, read_only
from hpo.study import Study

OPTUNA_TABLE = "version_info"
"""A table that every version of Optuna makes."""

TABLES = (".csv", ".tsv")
"""Suffixes of files that are read as tables."""


def read_source(study: Study, source: str, name: str | None = None, columns: Columns | None = None) -> Foreign:
    """Returns what another tool found; nothing is written there.

    Args:
        study: the study that it is for.
        source: URL of an Optuna storage, SQLite or Postgres, or path of a journal, of a CSV file, or of the folder of a
            Ray Tune experiment.
        name: name of the study in an Optuna storage; None: the only one.
        columns: where a table names its columns otherwise; None: nowhere.

    Raises:
        UsageError: if there is no such study, or a table lacks a column.
        StorageUnavailable: if there is no such storage.
    """
    path = Path(source)
    is_folder = "://" not in source and os.path.isdir(source)  # False for a name that is too long
    is_table = "://" not in source and path.suffix.lower() in TABLES and os.path.isfile(source)
    if name is not None and (is_folder or is_table):
        raise UsageError(f"--from-study names a study in an Optuna storage, and {source} is none; leave it out")
    if is_folder:
        return read_ray(study, path, columns or Columns())
    if is_table:
        return read_table(study, path, columns or Columns())
    if columns not in (None, Columns()) and ("://" in source or os.path.exists(source)):
        raise UsageError(f"--value and --params name columns of a table, and {masked(source)} is an Optuna storage")
    if "://" not in source:
        return read_foreign(source, source, name, {})
    url, options = read_only(source, OPTUNA_TABLE)
    shown = masked(source)
    with explain_errors(source, shown):
        return read_foreign(url, shown, name, options)
