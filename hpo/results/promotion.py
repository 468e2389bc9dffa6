"""Writes the promotion's own files beside the winner's results: JSON, CSV and other texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from hpo.core.errors import OutputRefused
from hpo.core.files import Guard, no_guard, write_text
from hpo.results.plain import csv_text, json_text


def write_promotion(
    folder: Path,
    table: Mapping[str, object],
    rows: Sequence[Mapping[str, object]],
    texts: Mapping[str, str] = MappingProxyType({}),
    guard: Guard = no_guard,
) -> None:
    """Writes promotion.json, promotion.csv and other texts atomically, and replaces those of an earlier promotion.

    Args:
        folder: folder of the files, created if missing.
        table: values of the whole promotion; the JSON file contains them, with the rows under `rows`.
        rows: one row per candidate in ranking order; the CSV file has the columns in the rows' own order.
        texts: further texts by file name.
        guard: called right before each file is renamed into place; see `hpo.core.files.atomic_write`.

    Raises:
        OutputRefused: if the folder cannot be written.
    """
    try:
        write_text(folder / "promotion.json", json_text({**table, "rows": list(rows)}), guard)
        write_text(folder / "promotion.csv", table_text(rows), guard)
        for name, text in texts.items():
            write_text(folder / name, text, guard)
    except OSError as error:
        raise OutputRefused(f"cannot write the promotion in {folder}: {error.strerror or error}") from error


def table_text(rows: Sequence[Mapping[str, object]]) -> str:
    """Returns rows as CSV, with columns in the rows' own order."""
    return csv_text(list(dict.fromkeys(column for row in rows for column in row)), rows)
