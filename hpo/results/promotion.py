"""Writes the promotion's own files beside the winner's results: JSON, CSV, and tables for a paper or a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tabulate import tabulate

from hpo.core.errors import OutputRefused
from hpo.core.files import Guard, no_guard, write_text
from hpo.results.plain import csv_text, json_text, latex


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


def markdown_text(table: Mapping[str, object], rows: Sequence[Mapping[str, object]]) -> str:
    """Returns the ranking and the winner's metrics as Markdown tables."""
    heading = f"## {table['study']}: promotion by {table['score']} of {table['objective']}"
    note = f"sigma: ddof {table['ddof']}; intervals: Student's, 95 %; search on {table['searched_on']}."
    note = " ".join([note, *_folded(table)])
    warnings = [f"**Warning:** {warning}" for warning in _warnings(table)]
    parts = [heading, *warnings, _drawn(_ranking(table, rows), "github"), note]
    if final := _final(table):
        parts += [f"### The race's last rung: winner trial {table['winner']}", _drawn(final, "github")]
    if metrics := _metrics(table):
        parts += [f"### The winner's metrics: trial {table['winner']}", _drawn(metrics, "github")]
    return "\n\n".join(parts) + "\n"


def latex_text(table: Mapping[str, object], rows: Sequence[Mapping[str, object]]) -> str:
    """Returns the ranking and the winner's metrics as LaTeX tables; they need the package booktabs."""
    warnings = [rf"\textbf{{Warning:}} {latex(warning)}" for warning in _warnings(table)]
    parts = [*warnings, _drawn(_ranking(table, rows), "latex_booktabs")]
    if final := _final(table):
        parts.append(_drawn(final, "latex_booktabs"))
    if metrics := _metrics(table):
        parts.append(_drawn(metrics, "latex_booktabs"))
    return "\n\n".join([*parts, *map(latex, _folded(table))]) + "\n"


def _folded(table: Mapping[str, object]) -> list[str]:
    """Returns a sentence about values under cross-validation; empty without it."""
    folds = table["folds_said"]
    return [f"A seed's value, and each of its metrics, is the mean over {folds}."] if folds else []


def _warnings(table: Mapping[str, object]) -> list[str]:
    """Returns the warnings of a promotion."""
    found = table["warnings"]
    assert isinstance(found, Sequence)
    return [str(warning) for warning in found]


def _drawn(rows: Sequence[Mapping[str, object]], style: str) -> str:
    aligned = ["right" if name != "metric" else "left" for name in rows[0]]
    return str(tabulate(rows, headers="keys", tablefmt=style, disable_numparse=True, colalign=aligned))


def _final(table: Mapping[str, Any]) -> list[dict[str, str]]:
    """Returns the last rung of the race; empty if there was none."""
    race = table["race"]
    return [
        {
            "rank": _text(row["rank"]),
            "trial": str(row["trial"]),
            f"mean of {len(race['seeds'])} seeds": _text(row["mean"]),
            "sigma": _text(row["sigma"]),
            str(table["score"]): _text(row["score"]),
            "95 % interval": "-" if row["interval_low"] is None else _interval(row),
        }
        for row in (race["final"] if race else ())
    ]


def _ranking(table: Mapping[str, Any], rows: Sequence[Mapping[str, object]]) -> list[dict[str, str]]:
    seeds = table["seeds"]
    at_best = "<=" if table["direction"] == "maximize" else ">="
    return [
        {
            "rank": str(row["standing"]),
            "trial": str(row["trial"]),
            **({"trial there": str(row["origin"])} if "origin" in row else {}),
            **{f"seed {seed}": _text(row[f"seed_{seed}"]) for seed in seeds},
            "mean": _text(row["mean"]),
            "sigma": _text(row["sigma"]),
            **({"fold sd": _text(row["fold_sigma"])} if "fold_sigma" in row else {}),
            str(table["score"]): _text(row["score"]) if row["bound"] is None else f"{at_best} {_text(row['bound'])}",
            "95 % interval": "-" if row["interval_low"] is None else _interval(row),
            "CV %": _text(row["variation_percent"], 1),
            "search": _text(row["search_value"]),
            **({"seeds": str(row["seeds"])} if any(one["seeds"] != "used" for one in rows) else {}),
        }
        for row in rows
    ]


def _metrics(table: Mapping[str, object]) -> list[dict[str, str]]:
    found = table["metrics"]
    assert isinstance(found, Sequence)
    return [
        {
            "metric": str(row["metric"]),
            **{name.replace("_", " "): _text(value) for name, value in row.items() if name.startswith("seed_")},
            "mean": _text(row["mean"]),
            "sigma": _text(row["sigma"]),
        }
        for row in found
        if row["trial"] == table["winner"]
    ]


def _interval(row: Mapping[str, object]) -> str:
    return f"{_text(row['interval_low'])} .. {_text(row['interval_high'])}"


def _text(value: object, digits: int = 4) -> str:
    if not isinstance(value, float):
        return "-" if value is None else str(value)
    text = f"{value:.{digits}f}"
    return f"{value:.1e}" if value and not float(text) else text  # a small value must not look like 0
