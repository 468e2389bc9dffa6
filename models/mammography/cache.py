"""A cache of decoded images: one array on disk that all trainings of a machine map into memory.

The name of the array's folder depends on the content of the files and the preprocessing, so a change of either uses
another folder. A folder is written under a temporary name and renamed when it is complete.

Shapes: N images, S pixels along each side.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hpo import Tell
from models.mammography.decoding import decode, decoded
from models.mammography.listing import Case

VERSION = 2
"""Version of the preprocessing; a change invalidates every cache."""

PROGRESS_SECONDS = 1.0

ABANDONED_SECONDS = 7 * 24 * 3600
"""Seconds after which an incomplete folder is deleted."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """Decoded images.

    Attributes:
        image_N1SS: gray values, 0 .. `WHITE`, mapped from disk and read-only.
        kept: indices of the decoded cases, in order.
        views: view of each image from its file; empty if unknown.
        patients: pseudonym of each image's patient.
        unreadable: reasons of unreadable cases by name.
        remarks: ambiguities of files and how they were resolved, by name of the case.
        inputs: sha256 of every file by name.
        digest: sha256 of the array's content.
    """

    image_N1SS: npt.NDArray[np.uint16]
    kept: tuple[int, ...]
    views: tuple[str, ...]
    patients: tuple[str, ...]
    unreadable: Mapping[str, str]
    remarks: Mapping[str, str]
    inputs: Mapping[str, str]
    digest: str


def prepared(
    cases: Sequence[Case],
    *,
    size: int,
    crop: bool,
    cache: Path,
    tell: Tell | None = None,
    processes: int | None = None,
) -> Prepared:
    """Returns the cases' images, from the cache if they were decoded before.

    Args:
        cases: cases to read.
        size: pixels along each side.
        crop: whether images are cropped to the breast.
        cache: folder of the cached arrays.
        tell: called with the progress; None: not reported.
        processes: number of decoding processes; None: one per core, at most 8.

    Raises:
        OSError: if the cache cannot be written.
    """
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.mkdir(mode=0o700, exist_ok=True)  # it contains patients' images and ids
    hashes = _hashes(cases, cache, tell)
    settings = {"version": VERSION, "size": size, "crop": crop, "cases": [hashes[case.name] for case in cases]}
    key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:32]
    folder = cache / key
    if not folder.is_dir():
        with _alone(cache / f"{key}.lock"):
            if not folder.is_dir():  # otherwise another process wrote it in the meantime
                _build(cases, folder, size, crop, tell, processes)
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    names = [case.name for case in cases]
    return Prepared(
        image_N1SS=np.load(folder / "images.npy", mmap_mode="r"),
        kept=tuple(index["kept"]),
        views=tuple(index["views"]),
        patients=tuple(index["patients"]),
        unreadable={names[int(place)]: reason for place, reason in index["unreadable"].items()},
        remarks={names[int(place)]: remark for place, remark in index["remarks"].items()},
        inputs={case.name: hashes[case.name] for case in cases},
        digest=index["digest"],
    )


def _build(
    cases: Sequence[Case],
    folder: Path,
    size: int,
    crop: bool,
    tell: Tell | None,
    processes: int | None,
) -> None:
    spare = folder.with_name(f".{folder.name}.{os.getpid()}")
    for left in folder.parent.glob(".*.*"):  # left by killed processes
        if left.is_dir() and time.time() - left.stat().st_mtime > ABANDONED_SECONDS:
            shutil.rmtree(left, ignore_errors=True)
    spare.mkdir()
    try:
        array = np.lib.format.open_memmap(
            spare / "images.npy", mode="w+", dtype=np.uint16, shape=(len(cases), 1, size, size)
        )
        kept: list[int] = []
        views, patients, unreadable, remarks, content = [], [], {}, {}, hashlib.sha256()
        progress = _Progress(len(cases), "reading images", "images", tell)
        work = [(case.path, size, crop) for case in cases]
        for place, found in enumerate(decoded(work, decode, processes)):
            progress.reached(place + 1)
            if isinstance(found, str):
                unreadable[str(place)] = found
                continue
            array[len(kept), 0] = found.grey_SS
            content.update(found.grey_SS.tobytes())
            kept.append(place)
            views.append(found.view)
            patients.append(found.patient)
            if found.remarks:
                remarks[str(place)] = "; ".join(found.remarks)
        array.flush()
        del array
        if len(kept) < len(cases):
            _shorten(spare / "images.npy", len(kept), size)
        index = {
            "kept": kept,
            "views": views,
            "patients": patients,
            "unreadable": unreadable,
            "remarks": remarks,
            "digest": content.hexdigest(),
        }
        with (spare / "index.json").open("w", encoding="utf-8") as file:
            json.dump(index, file)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError, NotADirectoryError):  # without working locks another process may be first
            os.replace(spare, folder)
    finally:
        shutil.rmtree(spare, ignore_errors=True)


def _shorten(file: Path, count: int, size: int) -> None:
    """Rewrites an array with its first `count` images only, because its header contains the number."""
    whole = np.load(file, mmap_mode="r")
    short = np.lib.format.open_memmap(
        file.with_suffix(".short"), mode="w+", dtype=np.uint16, shape=(count, 1, size, size)
    )
    short[:] = whole[:count]
    short.flush()
    os.replace(file.with_suffix(".short"), file)


def _hashes(cases: Sequence[Case], cache: Path, tell: Tell | None) -> dict[str, str]:
    """Returns the sha256 of every file by name; unchanged files, by size and time, are not read again."""
    roots = hashlib.sha256(b"\n".join(sorted(os.fsencode(case.path) for case in cases))).hexdigest()[:16]
    file = cache / f"hashes-{roots}.json"
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    found, fresh = {}, 0
    progress = _Progress(len(cases), "checking files", "files", tell)
    for place, case in enumerate(cases):
        progress.reached(place + 1)
        try:
            state = case.path.stat()
            before = known.get(str(case.path))
            if before and before[:2] == [state.st_size, state.st_mtime_ns]:
                found[case.name] = before[2]
                continue
            with case.path.open("rb") as content:
                found[case.name] = hashlib.file_digest(content, "sha256").hexdigest()
            known[str(case.path)] = [state.st_size, state.st_mtime_ns, found[case.name]]
            fresh += 1
        except OSError as error:
            found[case.name] = f"unreadable: {error.strerror}"
    if fresh:
        spare = file.with_suffix(f".{os.getpid()}")
        spare.write_text(json.dumps(known), encoding="utf-8")
        os.replace(spare, file)
    return found


class _Progress:
    """Reports progress from time to time."""

    def __init__(self, total: int, what: str, unit: str, tell: Tell | None) -> None:
        self._total, self._what, self._unit, self._tell = total, what, unit, tell
        self._began = self._last = time.monotonic()

    def reached(self, count: int) -> None:
        now = time.monotonic()
        if count == 1:  # the time before includes the start of the processes
            self._began = self._last = now
            return
        if self._tell is None or now - self._last < PROGRESS_SECONDS:
            return
        self._last = now
        rate = (count - 1) / max(now - self._began, 1e-9)
        left = (self._total - count) / rate
        words = f"{self._what}: {count} of {self._total}, {rate:.0f} {self._unit}/s, about {left:.0f} s left"
        self._tell(words, count, self._total)


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        with suppress(OSError):  # a disk without locks: both write the same, and the first one stays
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
