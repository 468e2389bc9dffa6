"""The results in a study's output folder, read for pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hpo.core.errors import UsageError
from hpo.core.files import read_json
from hpo.core.texts import cleaned, is_clean
from hpo.store.storable import storable_json

MAX_JSON_BYTES = 32_000_000
"""Maximum size of a JSON file in bytes; larger files are not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFile:
    """A file of a results folder.

    Attributes:
        path: path relative to the folder; invalid characters are escaped.
        bytes: size of the file.
        is_served: whether it can be requested by that path.
    """

    path: str
    bytes: int
    is_served: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultsFolder:
    """One results folder.

    Attributes:
        name: name of the folder, such as `results_7`.
        seed: seed of the replicate; None if the folder does not have it.
        confusion: (C, C) confusion matrix of the validation cases at the selected epoch, rows true; empty if missing.
        classes: (C,) names of the classes.
        files: all files in the folder.
    """

    name: str
    seed: int | None
    confusion: tuple[tuple[int, ...], ...]
    classes: tuple[str, ...]
    files: tuple[ResultFile, ...]


def read_results(folder: Path) -> ResultsFolder:
    """Reads a results folder. Its content is not trusted, because a training may have written any files.

    Args:
        folder: path of the folder, without symbolic links.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.resolve().is_relative_to(folder))
    metrics, summary = _json(folder, "metrics/val_metrics.json"), _json(folder, "summary.json")
    confusion = _confusion(metrics.get("confusion_matrix"))
    named = metrics.get("classification_report")
    names = tuple(map(str, named))[: len(confusion)] if isinstance(named, dict) else ()
    seed = summary.get("seed")
    return ResultsFolder(
        name=folder.name,
        seed=seed if isinstance(seed, int) else None,
        confusion=confusion,
        classes=names if len(names) == len(confusion) else tuple(map(str, range(len(confusion)))),
        files=tuple(_file(path, folder) for path in paths),
    )


def _file(path: Path, folder: Path) -> ResultFile:
    name = path.relative_to(folder).as_posix()
    try:
        size = path.stat().st_size
    except OSError:  # it was removed meanwhile
        size = 0
    return ResultFile(path=cleaned(name), bytes=size, is_served=is_clean(name) and not set(name) & set("\n\t"))


def _confusion(matrix: object) -> tuple[tuple[int, ...], ...]:
    rows = matrix if isinstance(matrix, list) else []
    if not all(isinstance(row, list) and len(row) == len(rows) and all(map(_is_count, row)) for row in rows):
        return ()
    return tuple(tuple(map(int, row)) for row in rows)


def _is_count(value: object) -> bool:
    return isinstance(value, int | float) and 0 <= value < 2**53


def newest_decomposition(folder: Path) -> Mapping[str, object] | None:
    """Returns the content of the newest decomposition in a study's folder; None if there is none."""
    files = sorted(folder.glob("decomposition-trial-*.json"), key=lambda path: path.lstat().st_mtime)
    return _json(folder.resolve(), files[-1].name) or None if files else None


def _json(folder: Path, name: str) -> dict[str, object]:
    """Returns the object in a JSON file, empty if it is not a regular file in the folder or cannot be read."""
    path = folder / name
    try:
        resolved = path.resolve()
        if not (resolved.is_relative_to(folder) and resolved.is_file() and resolved.stat().st_size <= MAX_JSON_BYTES):
            return {}
        content = storable_json(read_json(resolved))  # removes NaN and lone surrogates, which no page can contain
    except (OSError, UsageError):
        return {}
    return content if isinstance(content, dict) else {}
