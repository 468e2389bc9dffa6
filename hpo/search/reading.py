"""Reads what another tool found, wherever that is."""

from __future__ import annotations

from hpo.core.redaction import masked
from hpo.search.imports import Foreign, read_foreign
from hpo.store import explain_errors, read_only

OPTUNA_TABLE = "version_info"
"""A table that every version of Optuna makes."""


def read_source(source: str, name: str | None) -> Foreign:
    """Returns another tool's study; nothing is written there.

    Args:
        source: URL of an Optuna storage, SQLite or Postgres, or path of a journal.
        name: the study's name there; None: the only one.

    Raises:
        UsageError: if there is no such study.
        StorageUnavailable: if there is no such storage.
    """
    if "://" not in source:
        return read_foreign(source, source, name, {})
    url, options = read_only(source, OPTUNA_TABLE)
    shown = masked(source)
    with explain_errors(source, shown):
        return read_foreign(url, shown, name, options)
