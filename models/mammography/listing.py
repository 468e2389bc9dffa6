"""Lists images with their classes: from a CSV file with an archive, a CSV file with paths, or folders."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import pandas as pd

from hpo import UsageError
from hpo.core.texts import cleaned
from models.mammography.classes import CLASSES, EXCLUDED, Classes, density
from models.mammography.spreadsheet import columns_shown, read_table

IMAGES = (".jpg", ".jpeg", ".png")
DICOM = ".dcm"
SUFFIXES = (*IMAGES, DICOM)

FORMULA = "=+-@"
"""First characters of a cell that a spreadsheet treats as a formula; results are opened in spreadsheets."""

LONGEST = 80
"""Maximum characters of a path in a reason."""

LABEL_COLUMNS = ("density_label", "label", "y", "professional_label")
ACCESSION_COLUMNS = ("AccessionNumber", "accession")
VIEW_COLUMNS = ("view", "ViewPosition")
PATIENT_COLUMNS = ("patient_id", "PatientID")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One image with its data from the source.

    Attributes:
        path: path of the file.
        name: path for display, relative to the archive or to the CSV file's folder.
        label: class 0 .. C-1; of density 0 .. 3 for A .. D, and 4 for class 5 if it is included.
        raw: class as in the source.
        accession: accession number of the examination, with leading zeros.
        view: `CC`, `MLO` or another text of the source; empty if unknown.
        patient: the patient's id; empty if unknown.
        owner: original accession number if `accession` is a pseudonym; never written.
    """

    path: Path
    name: str
    label: int
    raw: str
    accession: str
    view: str = ""
    patient: str = ""
    owner: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Dropped:
    """A row or file that is not used.

    Attributes:
        what: the row or file.
        reason: the reason as a part of a sentence.
    """

    what: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The listing of a source.

    Attributes:
        kind: `archive`, `paths` or `folders`.
        cases: usable images in the order of the source.
        dropped: rows and files that are not used.
        rows: number of rows of the CSV file, or of files in folders.
        unlisted: subfolders of the archive that no row names.
    """

    kind: str
    cases: tuple[Case, ...]
    dropped: tuple[Dropped, ...]
    rows: int
    unlisted: tuple[str, ...] = ()


def listing(
    data: Path,
    archive: Path | None = None,
    *,
    views: str = "first",
    include_class_5: bool = False,
    classes: Classes | None = None,
) -> Listing:
    """Lists the images of `data`, without decoding them.

    Args:
        data: a folder with a subfolder per class, A, B, C, D; or a CSV file with the columns AccessionNumber and
            Classification, whose images are the DICOM files below `archive/<AccessionNumber>`; or one with the column
            `image_path`.
        archive: folder of the examinations; None: `archive` beside the CSV file.
        views: `first`: the first file of every examination by path; `all`: every file.
        include_class_5: whether class 5 of density is included.
        classes: the classes; None: those of density.

    Raises:
        UsageError: if it cannot be read, or no image is usable.
    """
    classes = classes or density(include_class_5=include_class_5)
    if views not in ("first", "all"):
        raise UsageError(f"views: expected first or all, got {views!r}")
    if _is(data, Path.is_dir):
        found = _of_folders(data, classes)
    elif _is(data, Path.is_file):
        rows, ragged = _rows(data)
        if "image_path" in rows.columns:
            found = _of_paths(data, rows, ragged, classes)
        else:
            place = archive or data.parent / "archive"
            found = _of_archive(data, rows, ragged, place, views, classes)
    else:
        raise UsageError(f"data {data}: there is no such folder or CSV file; give its path relative to the project")
    if not found.cases:
        reasons = "; ".join(f"{one.what}: {one.reason}" for one in found.dropped[:3]) or "it lists nothing"
        raise UsageError(f"data {data}: no image can be used ({reasons})")
    return found


def _of_folders(folder: Path, classes: Classes) -> Listing:
    missing = [name for name in classes.folders if not _is(folder / name, Path.is_dir)]
    subfolders = sorted(path.name for path in _entries(folder) if _is(path, Path.is_dir))
    if missing:
        found = ", ".join(map(cleaned, subfolders)) or "none"
        raise UsageError(
            f"data folder {folder}: expected subfolders {', '.join(classes.folders)} of {', '.join(SUFFIXES)} images, "
            f"but {', '.join(missing)} is missing (subfolders found: {found}); add it"
        )
    cases, dropped = [], []
    if not set(classes.folders) >= set(CLASSES):  # the four of density may lie beside others
        others = [name for name in subfolders if name not in classes.folders and not name.startswith(".")]
        dropped += [Dropped(cleaned(name), "is a subfolder that no class names") for name in others]
    raw = classes.raw_of_folder
    for name, label in classes.folders.items():
        try:
            files = _files(folder / name)
        except OSError as error:
            raise UsageError(f"data folder {folder / name} cannot be read: {error.strerror or error}") from error
        for path in files:
            shown = _shown(path, folder)
            if path.suffix.lower() not in SUFFIXES:
                dropped.append(Dropped(shown, f"is not one of {', '.join(SUFFIXES)}"))
            elif not _inside(path, folder):
                dropped.append(Dropped(shown, "is a link that leaves the folder"))
            elif path.name[0] in FORMULA:
                dropped.append(Dropped(shown, "has a name that starts like a formula"))
            else:
                stem = cleaned(path.stem)
                cases.append(Case(path=path, name=shown, label=label, raw=raw[name], accession=stem))
    filled = {case.label for case in cases}
    empty = [name for name, label in classes.folders.items() if label not in filled]
    if empty:
        raise UsageError(
            f"data folder {folder}: expected {', '.join(SUFFIXES)} images in each of {', '.join(classes.folders)}, but "
            f"{', '.join(empty)} has none; put at least one there"
        )
    return Listing(kind="folders", cases=tuple(cases), dropped=tuple(dropped), rows=len(cases) + len(dropped))


def _of_archive(
    file: Path, rows: pd.DataFrame, ragged: list[Dropped], archive: Path, views: str, classes: Classes
) -> Listing:
    _require_columns(file, rows, ("AccessionNumber", "Classification"))
    try:
        folders = {entry.name for entry in archive.iterdir() if _is(entry, Path.is_dir)}
    except OSError as error:
        raise UsageError(
            f"archive {archive} of {file.name} cannot be read: {error.strerror or error}; name it with archive = "
        ) from error
    by_number = {name.lstrip("0"): name for name in folders}

    def padded(accession: str) -> str:
        other = by_number.get(accession.lstrip("0"))
        return f", but there is {other}: did a spreadsheet drop leading zeros?" if other else ""

    dropped, cases = list(ragged), []
    labels = _labels(rows["Classification"], rows["AccessionNumber"], dropped, classes)
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
            Dropped(_shown(path, archive), "is a link that leaves the archive") for path in files if path not in inside
        ]
        if not inside:
            dropped.append(Dropped(row, f"examination {accession} has no {DICOM} file"))
        cases += [
            Case(
                path=path,
                name=_shown(path, archive),
                label=label,
                raw=raw,
                accession=accession,
            )
            for path in inside[: 1 if views == "first" else None]
        ]
    unlisted = tuple(sorted(map(cleaned, folders - set(rows["AccessionNumber"]))))
    return Listing(kind="archive", cases=tuple(cases), dropped=tuple(dropped), rows=len(rows), unlisted=unlisted)


def _of_paths(file: Path, rows: pd.DataFrame, ragged: list[Dropped], classes: Classes) -> Listing:
    column = next((name for name in LABEL_COLUMNS if name in rows.columns), None)
    if column is None:
        raise UsageError(
            f"{file}: beside image_path expected one of the columns {', '.join(LABEL_COLUMNS)}, found "
            f"{columns_shown(list(rows.columns))}"
        )
    known = {name: _first(rows, names) for name, names in (("view", VIEW_COLUMNS), ("patient", PATIENT_COLUMNS))}
    accessions = _first(rows, ACCESSION_COLUMNS)
    dropped, cases, root = list(ragged), [], file.parent
    for place, (label, raw) in _labels(rows[column], rows["image_path"], dropped, classes).items():
        text, row = rows["image_path"][place], _row(place)
        path = root / text
        shown = text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
        if not _inside(path, root):
            dropped.append(Dropped(row, f"image_path {shown} leaves the folder of the CSV file"))
        elif path.suffix.lower() not in SUFFIXES:
            dropped.append(Dropped(row, f"image_path {shown} is not one of {', '.join(SUFFIXES)}"))
        elif not _is(path, Path.is_file):
            dropped.append(Dropped(row, f"image_path {shown} does not exist"))
        else:
            accession = "" if accessions is None else accessions[place]
            extra = {name: "" if column is None else cleaned(column[place]) for name, column in known.items()}
            cases.append(
                Case(
                    path=path,
                    name=cleaned(Path(text).as_posix()),
                    label=label,
                    raw=raw,
                    accession=cleaned(accession) or path.stem,
                    **extra,
                )
            )
    return Listing(kind="paths", cases=tuple(cases), dropped=tuple(dropped), rows=len(rows))


def _rows(file: Path) -> tuple[pd.DataFrame, list[Dropped]]:
    table = read_table(file)
    return table.rows, [Dropped(_row(number), "has more fields than the header") for number in table.ragged]


def _require_columns(file: Path, rows: pd.DataFrame, wanted: Sequence[str]) -> None:
    missing = [name for name in wanted if name not in rows.columns]
    if missing:
        raise UsageError(
            f"{file}: expected the columns {', '.join(wanted)}, or image_path and a label; {', '.join(missing)} is "
            f"missing, found: {columns_shown(list(rows.columns))}"
        )


def _labels(labels: pd.Series, keys: pd.Series, dropped: list[Dropped], classes: Classes) -> dict[int, tuple[int, str]]:
    """Returns the label and its text for every usable row; duplicates are dropped."""
    known = classes.labels
    if classes.is_density and "0" in set(labels):  # otherwise every class would be off by one
        raise UsageError(
            "the classes contain a 0, but 1 .. 4 are expected, where 1 is A; write A, B, C, D or 1, 2, 3, 4"
        )
    found: dict[int, tuple[int, str]] = {}
    for place, raw, key in zip(labels.index, labels, keys, strict=True):
        if not key:
            dropped.append(Dropped(_row(place), f"has no {keys.name}"))
        elif key[0] in FORMULA:
            dropped.append(Dropped(_row(place), f"{keys.name} {key[:40]!r} starts like a formula"))
        elif not _is_plain(key, is_path=keys.name == "image_path"):
            dropped.append(Dropped(_row(place), f"{keys.name} {key[:40]!r} is not a plain name"))
        elif raw.upper() in known:
            found[place] = known[raw.upper()], raw
        elif raw == EXCLUDED and classes.is_density:
            dropped.append(Dropped(_row(place), f"class {EXCLUDED} is left out"))
        else:
            dropped.append(Dropped(_row(place), f"class {raw[:40]!r} is not one of {', '.join(known)}"))
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
            conflict = ", ".join(f"{found[place][1]} in {_row(place)}" for place in same)
            dropped += [Dropped(_row(place), f"{keys.name} {key} has several classes: {conflict}") for place in same]
            unused: Iterable[int] = same
        else:
            dropped += [Dropped(_row(place), f"repeats {_row(same[0])}") for place in same[1:]]
            unused = same[1:]
        for place in unused:
            del kept[place]
    return kept


def _is_plain(key: str, *, is_path: bool) -> bool:
    """Whether a key is a valid name below a folder; links are checked later."""
    if any(ord(letter) < 32 for letter in key):
        return False
    return is_path or (key not in {".", ".."} and "/" not in key and "\\" not in key)


def _first(rows: pd.DataFrame, names: Sequence[str]) -> pd.Series | None:
    name = next((name for name in names if name in rows.columns), None)
    return None if name is None else rows[name]


def _row(place: int) -> str:
    return f"row {place}"


def _files(folder: Path, *, deep: bool = False) -> list[Path]:
    if deep:  # rglob would silently skip unreadable folders
        found = [Path(at, name) for at, _, names in os.walk(folder, onerror=_raised) for name in names]
    else:
        found = list(folder.iterdir())
    return sorted(path for path in found if not path.name.startswith(".") and _is(path, Path.is_file))


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise UsageError(f"data folder {folder} cannot be read: {error.strerror or error}") from error


def _is(path: Path, kind: Callable[[Path], bool]) -> bool:
    """Whether there is such a file or folder; False for invalid names and missing permissions."""
    try:
        return kind(path)
    except (OSError, ValueError):
        return False


def _shown(path: Path, folder: Path) -> str:
    r"""Returns a path for results and messages; an undecodable byte as `\udcff`, a line break as `\x0a`."""
    return cleaned(path.relative_to(folder).as_posix()).replace("\n", "\\x0a").replace("\t", "\\x09")


def _raised(error: OSError) -> NoReturn:
    raise error


def _inside(path: Path, folder: Path) -> bool:
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # circular links, an invalid name
        return False
