"""What lies in a study's folder of outputs, read for pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hpo.core.errors import UsageError
from hpo.core.files import read_json
from hpo.core.texts import cleaned, is_clean
from hpo.store.storable import storable_json

LARGEST_JSON = 32_000_000
"""Bytes. A larger file is not read for a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file of a results folder.

    Attributes:
        path: below the folder; what is no text in it is written as an escape.
        bytes: how large it is.
        is_served: whether it can be asked for by that path.
    """

    path: str
    bytes: int
    is_served: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """One results folder.

    Attributes:
        name: of the folder, such as `results_7`.
        seed: of the replicate; None where the folder does not say.
        confusion: of the validation cases at the selected epoch, rows true; empty where there is none.
        classes: its rows' names.
        files: paths of the files in it.
    """

    name: str
    seed: int | None
    confusion: tuple[tuple[int, ...], ...]
    classes: tuple[str, ...]
    files: tuple[File, ...]


def results_in(folder: Path) -> Results:
    """Reads a results folder; a training may have put anything there, so nothing in it is taken for what it should be.

    Args:
        folder: its path, without links in it.
    """
    found = sorted(path for path in folder.rglob("*") if path.is_file() and path.resolve().is_relative_to(folder))
    metrics, summary = _json(folder, "metrics/val_metrics.json"), _json(folder, "summary.json")
    confusion = _confusion(metrics.get("confusion_matrix"))
    named = metrics.get("classification_report")
    names = tuple(map(str, named))[: len(confusion)] if isinstance(named, dict) else ()
    seed = summary.get("seed")
    return Results(
        name=folder.name,
        seed=seed if isinstance(seed, int) else None,
        confusion=confusion,
        classes=names if len(names) == len(confusion) else tuple(map(str, range(len(confusion)))),
        files=tuple(_file(path, folder) for path in found),
    )


def _file(path: Path, folder: Path) -> File:
    name = path.relative_to(folder).as_posix()
    try:
        size = path.stat().st_size
    except OSError:  # it was removed just now
        size = 0
    return File(path=cleaned(name), bytes=size, is_served=is_clean(name) and not set(name) & set("\n\t"))


def _confusion(matrix: object) -> tuple[tuple[int, ...], ...]:
    rows = matrix if isinstance(matrix, list) else []
    if not all(isinstance(row, list) and len(row) == len(rows) and all(_is_count(one) for one in row) for row in rows):
        return ()
    return tuple(tuple(map(int, row)) for row in rows)


def _is_count(value: object) -> bool:
    return isinstance(value, int | float) and 0 <= value < 2**53


def newest_decomposition(folder: Path) -> Mapping[str, object] | None:
    """Returns what the newest decomposition in a study's folder says, None where there is none."""
    files = sorted(folder.glob("decomposition-trial-*.json"), key=lambda path: path.lstat().st_mtime)
    return _json(folder.resolve(), files[-1].name) or None if files else None


def _json(folder: Path, name: str) -> dict[str, object]:
    """Returns what a JSON file holds that lies in a folder and is an ordinary one; else nothing."""
    path = folder / name
    try:
        resolved = path.resolve()
        if not (resolved.is_relative_to(folder) and resolved.is_file() and resolved.stat().st_size <= LARGEST_JSON):
            return {}
        found = storable_json(read_json(resolved))  # JSON has numbers and halves of characters that no page can hold
    except (OSError, UsageError):
        return {}
    return found if isinstance(found, dict) else {}
