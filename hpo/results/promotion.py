"""The promotion's own files: `promotion.json` and `promotion.csv`, beside the results of its winner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from hpo.errors import OutputRefused
from hpo.files import write_text
from hpo.results.plain import csv_text, json_text


def write_promotion(folder: Path, table: Mapping[str, object], rows: Sequence[Mapping[str, object]]) -> None:
    """Writes both files, each whole; those of an earlier promotion are replaced.

    Args:
        folder: where they go; made if it is missing.
        table: what holds for the whole promotion; the JSON file has it, with the rows under `rows`.
        rows: one per candidate, in the order of the ranking; the CSV file has the columns in the rows' own order.

    Raises:
        OutputRefused: if the folder cannot be written.
    """
    columns = list(dict.fromkeys(column for row in rows for column in row))
    try:
        write_text(folder / "promotion.json", json_text({**table, "rows": list(rows)}))
        write_text(folder / "promotion.csv", csv_text(columns, rows))
    except OSError as error:
        raise OutputRefused(f"cannot write the promotion in {folder}: {error.strerror or error}") from error
