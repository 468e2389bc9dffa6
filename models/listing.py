"""Which images there are, with their classes: from a CSV file with an archive, from one with paths, or from folders."""

from __future__ import annotations

import codecs
import csv
import io
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pandas as pd

from hpo import UsageError

CLASSES = ("A", "B", "C", "D")
"""BI-RADS density classes as folders and readers name them, in the order of their labels 0 .. 3."""

EXCLUDED = "5"
"""What readers write for an examination whose density was not read, e.g. because of an implant."""

IMAGES = (".jpg", ".jpeg", ".png")
DICOM = ".dcm"
SUFFIXES = (*IMAGES, DICOM)

ENCODINGS = ("utf-8-sig", "cp1252", "latin-1")
"""Tried one after the other; the last one reads anything."""

LABEL_COLUMNS = ("density_label", "label", "y", "professional_label")
ACCESSION_COLUMNS = ("AccessionNumber", "accession")
VIEW_COLUMNS = ("view", "ViewPosition")
PATIENT_COLUMNS = ("patient_id", "PatientID")

_RAGGED = "\0 ragged"

LARGEST_CSV = 500_000_000
"""Bytes. A larger file is no list of examinations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One image and what the source says of it.

    Attributes:
        path: of the file.
        name: its path as it is shown: relative to the archive, or to the folder of the CSV file.
        label: 0 .. 3 for A .. D; 4 for class 5 where that is wanted.
        raw: the class as the source has it.
        accession: of the examination, with its leading zeros.
        view: `CC`, `MLO` or whatever the source says; empty where it says nothing.
        patient: likewise.
    """

    path: Path
    name: str
    label: int
    raw: str
    accession: str
    view: str = ""
    patient: str = ""


@dataclass(frozen=True, slots=True)
class Dropped:
    """Something that is not used.

    Attributes:
        what: a row or a file.
        reason: why, as a part of a sentence.
    """

    what: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What a source lists.

    Attributes:
        kind: `archive`, `paths` or `folders`.
        cases: in the order of the source.
        dropped: rows and files that are not among them.
        rows: of the CSV file; of folders, the files.
        unlisted: subfolders of the archive that no row names.
    """

    kind: str
    cases: tuple[Case, ...]
    dropped: tuple[Dropped, ...]
    rows: int
    unlisted: tuple[str, ...] = ()


def listing(data: Path, archive: Path | None = None, *, views: str = "first", include_class_5: bool = False) -> Listing:
    """Lists the images that `data` names; nothing is decoded.

    Args:
        data: a folder with subfolders A, B, C, D; or a CSV file with the columns AccessionNumber and Classification,
            whose images are the DICOM files below `archive/<AccessionNumber>`; or one with the column `image_path`.
        archive: the folder of the examinations; None: `archive` beside the CSV file.
        views: `first`: of every examination the first file by its path; `all`: every file.
        include_class_5: whether class 5 is a class.

    Raises:
        UsageError: if nothing can be read from it, or no image is left.
    """
    if views not in ("first", "all"):
        raise UsageError(f"views: expected first or all, got {views!r}")
    if data.is_dir():
        found = _of_folders(data)
    elif data.is_file():
        rows, ragged = _rows(data)
        if "image_path" in rows.columns:
            found = _of_paths(data, rows, ragged, include_class_5=include_class_5)
        else:
            place = archive or data.parent / "archive"
            found = _of_archive(data, rows, ragged, place, views, include_class_5=include_class_5)
    else:
        raise UsageError(f"data {data}: there is no such folder or CSV file; give its path relative to {Path.cwd()}")
    if not found.cases:
        reasons = "; ".join(f"{one.what}: {one.reason}" for one in found.dropped[:3]) or "it lists nothing"
        raise UsageError(f"data {data}: no image can be used ({reasons})")
    return found


def _of_folders(folder: Path) -> Listing:
    missing = [name for name in CLASSES if not (folder / name).is_dir()]
    if missing:
        found = ", ".join(sorted(path.name for path in folder.iterdir() if path.is_dir())) or "none"
        raise UsageError(
            f"data folder {folder}: expected subfolders {', '.join(CLASSES)} of {', '.join(SUFFIXES)} images, but "
            f"{', '.join(missing)} is missing (subfolders found: {found}); add it"
        )
    cases, dropped = [], []
    for label, name in enumerate(CLASSES):
        for path in _files(folder / name):
            shown = path.relative_to(folder).as_posix()
            if path.suffix.lower() not in SUFFIXES:
                dropped.append(Dropped(shown, f"is none of {', '.join(SUFFIXES)}"))
            elif not _inside(path, folder):
                dropped.append(Dropped(shown, "is a link that leaves the folder"))
            else:
                cases.append(Case(path=path, name=shown, label=label, raw=str(label + 1), accession=path.stem))
    empty = [name for label, name in enumerate(CLASSES) if all(case.label != label for case in cases)]
    if empty:
        raise UsageError(
            f"data folder {folder}: expected {', '.join(SUFFIXES)} images in each of {', '.join(CLASSES)}, but "
            f"{', '.join(empty)} has none; put at least one there"
        )
    return Listing(kind="folders", cases=tuple(cases), dropped=tuple(dropped), rows=len(cases) + len(dropped))


def _of_archive(
    file: Path, rows: pd.DataFrame, ragged: list[Dropped], archive: Path, views: str, *, include_class_5: bool
) -> Listing:
    _refuse_missing(file, rows, ("AccessionNumber", "Classification"))
    try:
        folders = {entry.name for entry in archive.iterdir() if entry.is_dir()}
    except OSError as error:
        raise UsageError(
            f"archive {archive} of {file.name} cannot be read: {error.strerror or error}; name it with archive = "
        ) from error
    by_number = {name.lstrip("0"): name for name in folders}

    def padded(accession: str) -> str:
        other = by_number.get(accession.lstrip("0"))
        return f", but there is {other}: were zeros lost in a spreadsheet?" if other else ""

    dropped, cases = list(ragged), []
    labels = _labels(rows["Classification"], rows["AccessionNumber"], dropped, include_class_5=include_class_5)
    for place, (label, raw) in labels.items():
        accession, row = rows["AccessionNumber"][place], _row(place)
        if accession not in folders:
            dropped.append(Dropped(row, f"examination {accession} has no folder in {archive.name}{padded(accession)}"))
            continue
        if not _inside(archive / accession, archive):
            dropped.append(Dropped(row, f"examination {accession} is a link that leaves the archive"))
            continue
        try:
            files = [path for path in _files(archive / accession, deep=True) if path.suffix.lower() == DICOM]
        except OSError as error:
            dropped.append(Dropped(row, f"examination {accession} cannot be read: {error.strerror or error}"))
            continue
        inside = [path for path in files if _inside(path, archive)]
        dropped += [
            Dropped(path.relative_to(archive).as_posix(), "is a link that leaves the archive")
            for path in files
            if path not in inside
        ]
        if not inside:
            dropped.append(Dropped(row, f"examination {accession} has no {DICOM} file"))
        cases += [
            Case(
                path=path,
                name=path.relative_to(archive).as_posix(),
                label=label,
                raw=raw,
                accession=accession,
            )
            for path in inside[: 1 if views == "first" else None]
        ]
    unlisted = tuple(sorted(folders - set(rows["AccessionNumber"])))
    return Listing(kind="archive", cases=tuple(cases), dropped=tuple(dropped), rows=len(rows), unlisted=unlisted)


def _of_paths(file: Path, rows: pd.DataFrame, ragged: list[Dropped], *, include_class_5: bool) -> Listing:
    column = next((name for name in LABEL_COLUMNS if name in rows.columns), None)
    if column is None:
        raise UsageError(
            f"{file}: beside image_path expected one of the columns {', '.join(LABEL_COLUMNS)}, found "
            f"{', '.join(rows.columns)}"
        )
    known = {name: _first(rows, names) for name, names in (("view", VIEW_COLUMNS), ("patient", PATIENT_COLUMNS))}
    accessions = _first(rows, ACCESSION_COLUMNS)
    dropped, cases, root = list(ragged), [], file.parent
    for place, (label, raw) in _labels(
        rows[column], rows["image_path"], dropped, include_class_5=include_class_5
    ).items():
        said, row = rows["image_path"][place], _row(place)
        path = root / said
        if not _inside(path, root):
            dropped.append(Dropped(row, f"image_path {said} leaves the folder of the CSV file"))
        elif path.suffix.lower() not in SUFFIXES:
            dropped.append(Dropped(row, f"image_path {said} is none of {', '.join(SUFFIXES)}"))
        elif not path.is_file():
            dropped.append(Dropped(row, f"image_path {said} does not exist"))
        else:
            accession = "" if accessions is None else accessions[place]
            extra = {name: "" if column is None else str(column[place]) for name, column in known.items()}
            cases.append(
                Case(
                    path=path,
                    name=Path(said).as_posix(),
                    label=label,
                    raw=raw,
                    accession=accession or path.stem,
                    **extra,
                )
            )
    return Listing(kind="paths", cases=tuple(cases), dropped=tuple(dropped), rows=len(rows))


def _rows(file: Path) -> tuple[pd.DataFrame, list[Dropped]]:
    """Reads a CSV file as texts: leading zeros stay, and nothing is taken for a number, a date or a missing value."""
    try:
        if file.stat().st_size > LARGEST_CSV:
            raise UsageError(f"{file} has {file.stat().st_size / 1e6:.0f} MB, which is no list of examinations")
        content = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror or error}") from error
    encodings = ("utf-16",) if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else ENCODINGS
    text = next((text for encoding in encodings if (text := _decoded(content, encoding)) is not None), None)
    if text is None:
        raise UsageError(f"{file} begins as UTF-16 does, but is none; save it as UTF-8")
    if text.count('"') % 2:
        raise UsageError(f"{file} is no CSV table: a quotation mark is opened and never closed")
    first = text.lstrip("\r\n").partition("\n")[0]
    separator = max(",;\t", key=first.count)
    width = len(next(csv.reader([first], delimiter=separator), []))

    def ragged(fields: list[str]) -> list[str]:
        return [*fields[: width - 1], _RAGGED]

    try:
        rows = pd.read_csv(
            io.StringIO(text),
            sep=separator,
            dtype=str,
            keep_default_na=False,
            skipinitialspace=True,
            index_col=False,
            engine="python",
            on_bad_lines=ragged,
        )
    except (pd.errors.EmptyDataError, pd.errors.ParserError, csv.Error) as error:
        raise UsageError(f"{file} is no CSV table: {str(error).splitlines()[0]}") from error
    rows.columns = [str(name).strip() for name in rows.columns]
    if len(set(rows.columns)) < len(rows.columns):
        raise UsageError(f"{file}: a column is named twice: {', '.join(rows.columns)}")
    if rows.empty:
        raise UsageError(f"{file} has no rows; its columns are {', '.join(rows.columns)}")
    rows = rows.fillna("").map(str.strip)
    bad = (rows == _RAGGED).any(axis=1)
    return rows[~bad], [Dropped(_row(place), "has more fields than the header") for place in rows.index[bad]]


def _decoded(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return None


def _refuse_missing(file: Path, rows: pd.DataFrame, wanted: Sequence[str]) -> None:
    missing = [name for name in wanted if name not in rows.columns]
    if missing:
        raise UsageError(
            f"{file}: expected the columns {', '.join(wanted)}, or image_path and a label; {', '.join(missing)} is "
            f"missing, found: {', '.join(rows.columns)}"
        )


def _labels(
    labels: pd.Series, keys: pd.Series, dropped: list[Dropped], *, include_class_5: bool
) -> dict[int, tuple[int, str]]:
    """Returns the label, and its text, of every row that can be used; the first of rows that say the same."""
    known = {name: label for label, name in enumerate(CLASSES)}
    known |= {str(label + 1): label for label in range(len(CLASSES))}
    if include_class_5:
        known[EXCLUDED] = len(CLASSES)
    if "0" in set(labels):  # to leave its rows out would read every other class as one too low
        raise UsageError(
            "are the classes numbered 0 .. 3 or 1 .. 4? There is a 0, and here 1 is A; write A, B, C, D or 1, 2, 3, 4"
        )
    found: dict[int, tuple[int, str]] = {}
    for place, raw, key in zip(labels.index, labels, keys, strict=True):
        if not key:
            dropped.append(Dropped(_row(place), f"has no {keys.name}"))
        elif key[0] in "=+-@":
            dropped.append(Dropped(_row(place), f"{keys.name} {key[:40]!r} begins like a formula"))
        elif not _is_plain(key, is_path=keys.name == "image_path"):
            dropped.append(Dropped(_row(place), f"{keys.name} {key[:40]!r} is no plain name"))
        elif raw.upper() in known:
            found[place] = known[raw.upper()], raw
        elif raw == EXCLUDED:
            dropped.append(Dropped(_row(place), f"class {EXCLUDED} is left out"))
        else:
            dropped.append(Dropped(_row(place), f"class {raw[:40]!r} is none of {', '.join(known)}"))
    return _without_contradictions(found, keys, dropped)


def _without_contradictions(
    found: Mapping[int, tuple[int, str]], keys: pd.Series, dropped: list[Dropped]
) -> dict[int, tuple[int, str]]:
    places: dict[str, list[int]] = defaultdict(list)
    for place in found:
        places[keys[place]].append(place)
    kept = dict(found)
    for key, same in places.items():
        if len({found[place][0] for place in same}) > 1:
            said = ", ".join(f"{found[place][1]} in {_row(place)}" for place in same)
            dropped += [Dropped(_row(place), f"{keys.name} {key} has several classes: {said}") for place in same]
            unused: Iterable[int] = same
        else:
            dropped += [Dropped(_row(place), f"repeats {_row(same[0])}") for place in same[1:]]
            unused = same[1:]
        for place in unused:
            del kept[place]
    return kept


def _is_plain(key: str, *, is_path: bool) -> bool:
    """Whether a key names something below a folder; where links lead is asked later."""
    if any(ord(letter) < 32 for letter in key):
        return False
    return is_path or (key not in {".", ".."} and "/" not in key and "\\" not in key)


def _first(rows: pd.DataFrame, names: Sequence[str]) -> pd.Series | None:
    name = next((name for name in names if name in rows.columns), None)
    return None if name is None else rows[name]


def _row(place: int) -> str:
    return f"row {place + 2}"  # as a spreadsheet counts: from 1, the header included


def _files(folder: Path, *, deep: bool = False) -> list[Path]:
    if deep:  # rglob would pass over what may not be read
        found = [Path(at, name) for at, _, names in os.walk(folder, onerror=_raised) for name in names]
    else:
        found = list(folder.iterdir())
    return sorted(path for path in found if not path.name.startswith(".") and path.is_file())


def _raised(error: OSError) -> NoReturn:
    raise error


def _inside(path: Path, folder: Path) -> bool:
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # links in a circle, a name that no file can have
        return False
