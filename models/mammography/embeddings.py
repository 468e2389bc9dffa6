"""Embeddings of images: vectors of a frozen backbone, which are further inputs of the classification head.

A folder of embeddings has `features.npy`, one row per image, and `metadata.csv`, whose rows name the images: by `path`
or `image_path`, relative to the archive or to the folder of the data's CSV file, or absolute; or by `accession`, if
each examination has one image.

Shapes: N images of the data set, M rows of the files, E components of a vector.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hpo import UsageError
from models.mammography.spreadsheet import columns_shown, read_table

FEATURES, METADATA, ABOUT = "features.npy", "metadata.csv", "embeddings.json"

PATH_COLUMNS = ("path", "image_path")
ACCESSION_COLUMNS = ("accession", "AccessionNumber")

LARGEST = 100_000
"""Maximum components of a vector."""


@dataclass(frozen=True, slots=True)
class Source:
    """What identifies an image in its source; it is never written to results.

    Attributes:
        name: path relative to the archive, or to the CSV file's folder.
        path: absolute path; the same as `name` for a phantom.
        accession: accession number of the examination.
    """

    name: str
    path: str
    accession: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Embeddings:
    """The vectors of a data set's images.

    Attributes:
        vector_NE: vectors in the order of the images.
        digest: sha256 of the vectors.
    """

    vector_NE: npt.NDArray[np.float32]
    digest: str


def read_embeddings(folder: Path, sources: Sequence[Source], shown: Sequence[str] | None = None) -> Embeddings:
    """Returns the vectors of images from a folder of embeddings.

    Args:
        folder: folder with `features.npy` and `metadata.csv`.
        sources: the images, at least one.
        shown: (N,) names of the images in messages, e.g. pseudonyms; None: their own names.

    Raises:
        UsageError: if a file cannot be read, an image has no vector or several, or a component is not a finite number.
    """
    feature_ME = _features(folder)
    names = [one.name for one in sources] if shown is None else shown
    row_N = _rows(folder, len(feature_ME), sources, names)
    vector_NE = np.ascontiguousarray(feature_ME[row_N], dtype=np.float32)
    finite_N = np.isfinite(vector_NE).all(axis=1)
    if not finite_N.all():
        first = names[int(np.flatnonzero(~finite_N)[0])]
        raise UsageError(
            f"embeddings_dir {folder}: every component must be a finite number, but {int((~finite_N).sum())} of "
            f"{len(sources)} images have others, first {first}; compute them again"
        )
    digest = hashlib.sha256(f"{vector_NE.shape}\n".encode())
    digest.update(vector_NE.tobytes())
    return Embeddings(vector_NE=vector_NE, digest=digest.hexdigest())


def _features(folder: Path) -> npt.NDArray[np.floating]:
    try:
        found = np.load(folder / FEATURES, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise UsageError(
            f"embeddings_dir {folder}: expected {FEATURES} with one row of numbers per image, and {METADATA}; "
            f"{FEATURES} cannot be read ({reason})"
        ) from error
    if not isinstance(found, np.ndarray) or found.ndim != 2 or found.dtype.kind != "f":
        shown = f"{found.dtype} of shape {found.shape}" if isinstance(found, np.ndarray) else "several arrays"
        raise UsageError(f"embeddings_dir {folder}: expected {FEATURES} with floats, one row per image; got {shown}")
    if not 0 < found.shape[1] <= LARGEST:
        raise UsageError(
            f"embeddings_dir {folder}: expected 1 .. {LARGEST} components of a vector in {FEATURES}, got "
            f"{found.shape[1]}"
        )
    return found


def _rows(folder: Path, count: int, sources: Sequence[Source], shown: Sequence[str]) -> npt.NDArray[np.int64]:
    """Returns the row of each image's vector (N,)."""
    table = read_table(folder / METADATA)
    columns = list(table.rows.columns)
    if table.ragged or len(table.rows) != count:
        raise UsageError(
            f"embeddings_dir {folder}: {METADATA} has {len(table.rows)} usable rows, but {FEATURES} has {count}; each "
            "row needs its vector"
        )
    path = next((name for name in PATH_COLUMNS if name in columns), None)
    accession = next((name for name in ACCESSION_COLUMNS if name in columns), None)
    if path is not None:
        return _by_path(folder, [Path(text).as_posix() for text in table.rows[path]], sources, shown)
    if accession is None:
        raise UsageError(
            f"embeddings_dir {folder}: expected the column {' or '.join((*PATH_COLUMNS, ACCESSION_COLUMNS[0]))} in "
            f"{METADATA}, found: {columns_shown(columns)}"
        )
    return _by_accession(folder, list(table.rows[accession]), sources, shown)


def _by_path(folder: Path, names: list[str], sources: Sequence[Source], shown: Sequence[str]) -> npt.NDArray[np.int64]:
    rows, times = {name: row for row, name in enumerate(names)}, Counter(names)
    for one, name in zip(sources, shown, strict=True):
        if times[one.name] + (times[one.path] if one.path != one.name else 0) > 1:
            raise UsageError(f"embeddings_dir {folder}: {METADATA} has several vectors of {name}; leave one")
    return _complete(folder, [rows.get(one.name, rows.get(one.path)) for one in sources], shown)


def _by_accession(
    folder: Path, names: list[str], sources: Sequence[Source], shown: Sequence[str]
) -> npt.NDArray[np.int64]:
    several, times = Counter(one.accession for one in sources), Counter(names)
    for one, name in zip(sources, shown, strict=True):
        if several[one.accession] > 1 or times[one.accession] > 1:
            raise UsageError(
                f"embeddings_dir {folder}: the examination of {name} has {several[one.accession]} images and "
                f"{times[one.accession]} vectors, so they cannot be told apart; add the column path to {METADATA}"
            )
    rows = {name: row for row, name in enumerate(names)}
    return _complete(folder, [rows.get(one.accession) for one in sources], shown)


def _complete(folder: Path, found: Sequence[int | None], shown: Sequence[str]) -> npt.NDArray[np.int64]:
    missing = [name for name, row in zip(shown, found, strict=True) if row is None]
    if missing:
        raise UsageError(
            f"embeddings_dir {folder}: {len(missing)} of {len(found)} images have no vector, first {missing[0]}; "
            f"compute them with hpo data embed, name images in {METADATA} as the data does, or leave them out of it"
        )
    return np.array([row for row in found if row is not None], dtype=np.int64)


def require_embeddings(values: Mapping[str, Sequence[object]], sources: Mapping[str, Sequence[Source]]) -> None:
    """Checks before any training that each folder of embeddings has a vector of every image.

    Args:
        values: values of the study by field, as in the hook `check_values`.
        sources: the images of each data set of the study.

    Raises:
        UsageError: if one has not.
    """
    for folder in values.get("embeddings_dir", ()):
        for images in sources.values():
            if folder:
                unreadable = _unreadable(Path(str(folder)))
                read_embeddings(Path(str(folder)), [one for one in images if one.name not in unreadable])


def _unreadable(folder: Path) -> set[str]:
    """Returns the names of images that could not be read when the embeddings were computed, and have no vector."""
    try:
        found = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        return set(map(str, found["unreadable"]))
    except (OSError, ValueError, KeyError, TypeError):
        return set()  # embeddings of another program
