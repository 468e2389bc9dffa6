"""Images decoded once: one array on disk that all trainings of a machine map into their memory.

The array's folder is named by the content of the files and by how they are prepared, so that what is in it is what
would be decoded again; a change of either is another folder. A folder is made under another name and renamed when it is
whole.

Shapes: N images, S pixels along each side.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from joblib import Parallel, delayed
from joblib.externals.loky import ProcessPoolExecutor, get_reusable_executor
from joblib.externals.loky.process_executor import TerminatedWorkerError

from hpo import Tell
from models.dicom import Unreadable
from models.images import read_image
from models.listing import Case

VERSION = 1
"""Of how an image is prepared; a change makes every cache anew."""

WHITE = 65535
"""What the grey value 1 is in the array."""

BATCH = 4
"""Images that a process is given at a time."""

SUSPECTS = 4 * BATCH
"""Images for each process that may have been under way when one died; more are given out in no case."""

SECONDS_BETWEEN_WORDS = 1.0

FORGOTTEN = 7 * 24 * 3600
"""Seconds after which a folder that is not whole is nobody's any more."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """Images that were decoded.

    Attributes:
        image_N1SS: grey values, 0 .. `WHITE`, mapped from disk and read-only.
        kept: which of the cases they are, in their order.
        views: of each, as its file says; empty where it does not.
        patients: likewise.
        unreadable: the other cases' names, with the reason.
        inputs: sha256 of every file by its name.
        digest: sha256 of the array's content.
    """

    image_N1SS: npt.NDArray[np.uint16]
    kept: tuple[int, ...]
    views: tuple[str, ...]
    patients: tuple[str, ...]
    unreadable: Mapping[str, str]
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
        cases: of which files.
        size: pixels along each side.
        crop: whether each is cut to the breast.
        cache: folder where arrays are kept.
        tell: hears how far it is; None: nobody.
        processes: that decode; None: one for each core, at most 8.

    Raises:
        OSError: if the cache cannot be written.
    """
    cache.mkdir(parents=True, exist_ok=True)
    hashes = _hashes(cases, cache, tell)
    settings = {"version": VERSION, "size": size, "crop": crop, "cases": [hashes[case.name] for case in cases]}
    key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:32]
    folder = cache / key
    if not folder.is_dir():
        with _alone(cache / f"{key}.lock"):
            if not folder.is_dir():  # else another process made it while this one waited
                _build(cases, folder, size, crop, tell, processes)
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    names = [case.name for case in cases]
    return Prepared(
        image_N1SS=np.load(folder / "images.npy", mmap_mode="r"),
        kept=tuple(index["kept"]),
        views=tuple(index["views"]),
        patients=tuple(index["patients"]),
        unreadable={names[int(place)]: reason for place, reason in index["unreadable"].items()},
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
    for left in folder.parent.glob(".*.*"):  # by processes that were killed
        if left.is_dir() and time.time() - left.stat().st_mtime > FORGOTTEN:
            shutil.rmtree(left, ignore_errors=True)
    spare.mkdir()
    try:
        array = np.lib.format.open_memmap(
            spare / "images.npy", mode="w+", dtype=np.uint16, shape=(len(cases), 1, size, size)
        )
        kept: list[int] = []
        views, patients, unreadable, content = [], [], {}, hashlib.sha256()
        said = _Progress(len(cases), "reading images", "images", tell)
        for place, found in enumerate(_decoded(cases, size, crop, processes)):
            said.reached(place + 1)
            if isinstance(found, str):
                unreadable[str(place)] = found
                continue
            image_SS, view, patient = found
            array[len(kept), 0] = image_SS
            content.update(image_SS.tobytes())
            kept.append(place)
            views.append(view)
            patients.append(patient)
        array.flush()
        del array
        if len(kept) < len(cases):
            _shorten(spare / "images.npy", len(kept), size)
        index = {
            "kept": kept,
            "views": views,
            "patients": patients,
            "unreadable": unreadable,
            "digest": content.hexdigest(),
        }
        with (spare / "index.json").open("w", encoding="utf-8") as file:
            json.dump(index, file)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError, NotADirectoryError):  # where locks do nothing another process may be first
            os.replace(spare, folder)
    finally:
        shutil.rmtree(spare, ignore_errors=True)


def _shorten(file: Path, count: int, size: int) -> None:
    """Writes the first `count` images of an array anew: its header says how many there are."""
    whole = np.load(file, mmap_mode="r")
    short = np.lib.format.open_memmap(
        file.with_suffix(".short"), mode="w+", dtype=np.uint16, shape=(count, 1, size, size)
    )
    short[:] = whole[:count]
    short.flush()
    os.replace(file.with_suffix(".short"), file)


Work = tuple[Path, int, bool]
Decoded = tuple[npt.NDArray[np.uint16], str, str]


def _decoded(
    cases: Sequence[Case],
    size: int,
    crop: bool,
    processes: int | None,
    decode: Callable[[Work], Decoded | str] | None = None,
) -> Iterator[Decoded | str]:
    """Yields every case's image, view and patient, or why it cannot be read, in the order of the cases."""
    decode = decode or _decode
    work = [(case.path, size, crop) for case in cases]
    count = min(processes or min(os.cpu_count() or 1, 8), len(work))
    if count <= 1:
        yield from map(decode, work)
        return
    # Started afresh, for a process that has threads, as torch and Ray do, must not be copied; and by joblib, which does
    # not run the user's own script again in every process.
    done = 0
    while done < len(work):
        try:
            for found in Parallel(count, return_as="generator", batch_size=BATCH)(map(delayed(decode), work[done:])):
                yield found
                done += 1
        except TerminatedWorkerError:  # one of those that were under way did it
            for found in _one_by_one(work[done : done + SUSPECTS * count], decode):
                yield found
                done += 1
        finally:
            get_reusable_executor().shutdown(wait=True)


def _one_by_one(work: Sequence[Work], decode: Callable[[Work], Decoded | str]) -> Iterator[Decoded | str]:
    process = ProcessPoolExecutor(1)
    try:
        for one in work:
            try:
                yield process.submit(decode, one).result()
            except TerminatedWorkerError:
                process = ProcessPoolExecutor(1)
                yield "ended the process that decoded it: the decoder's fault, or more memory than there is"
    finally:
        process.shutdown(wait=True)


def _decode(work: Work) -> Decoded | str:
    path, size, crop = work
    try:
        grey_SS, view, patient = read_image(path, size, crop=crop)
    except Unreadable as error:
        return str(error)
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    return np.rint(np.clip(grey_SS, 0, 1) * WHITE).astype(np.uint16), view, patient


def _hashes(cases: Sequence[Case], cache: Path, tell: Tell | None) -> dict[str, str]:
    """Returns the sha256 of every file by name; one whose size and time have not changed is not read again."""
    roots = hashlib.sha256("\n".join(sorted(str(case.path) for case in cases)).encode()).hexdigest()[:16]
    file = cache / f"hashes-{roots}.json"
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    found, fresh = {}, 0
    said = _Progress(len(cases), "looking at files", "files", tell)
    for place, case in enumerate(cases):
        said.reached(place + 1)
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
    """Says how far something is, now and then."""

    def __init__(self, total: int, what: str, unit: str, tell: Tell | None) -> None:
        self._total, self._what, self._unit, self._tell = total, what, unit, tell
        self._began = self._last = time.monotonic()

    def reached(self, count: int) -> None:
        now = time.monotonic()
        if count == 1:  # what came before is the start of the processes, and says nothing of the pace
            self._began = self._last = now
            return
        if self._tell is None or now - self._last < SECONDS_BETWEEN_WORDS:
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
        with suppress(OSError):  # a disk without locks: both make the same, and the first one stays
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
