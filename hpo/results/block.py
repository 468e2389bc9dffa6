"""Writes a winner's replicates as a block of consecutive directories, each complete or absent."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from hpo.core.errors import OutputRefused
from hpo.core.files import Guard, no_guard, sync
from hpo.core.records import Evaluation
from hpo.core.run_config import FIRST
from hpo.results.folds import FoldedReplicate
from hpo.results.replicate import Replicate
from hpo.results.summary import SECTION
from hpo.results.winner import Winner

ATTEMPTS = 10
_NAME = re.compile(r"results_(0|[1-9][0-9]*)")
_SPARE = re.compile(r"\.((?:results|trial)_[0-9]+)\.[0-9]+")


def write_results(folder: Path, winner: Winner, *, first: int = FIRST, guard: Guard = no_guard) -> tuple[Path, ...]:
    """Writes one directory per replicate and returns them in the order of the winner's evaluations.

    If some of the directories exist already, only the missing ones are written, in their old places, and figures of
    formats that the others lack are added there. Otherwise the next free block is used: at `first`, or a multiple of
    the block's length after it. Nothing is overwritten.

    Args:
        folder: parent of the directories, created if missing.
        winner: the winner whose replicates are written.
        first: number of the first directory of the first block.
        guard: called right before a directory is renamed into place; see `hpo.core.files.atomic_write`.

    Raises:
        OutputRefused: if the folder cannot be written.
        HpoError: if files of a training are missing or damaged; no directory is written then.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with alone(folder):
            for _ in range(ATTEMPTS):
                start = _start(_taken(folder, winner), len(winner.evaluations), first)
                places = tuple(folder / f"results_{start + member}" for member in range(len(winner.evaluations)))
                if _published(winner, places, guard):
                    _add_figures(winner, places, guard)
                    return places
    except OSError as error:
        raise refused(folder, error) from error
    raise OutputRefused(f"cannot write results in {folder}: another program keeps using the free names; try again")


def unwritten(folder: Path, winner: Winner, *, first: int = FIRST) -> tuple[Evaluation, ...]:
    """Returns the evaluations whose directories or figures `write_results` would write, and whose files it needs."""
    if not folder.is_dir():
        return winner.evaluations
    taken = _taken(folder, winner)
    start = _start(taken, len(winner.evaluations), first)
    return tuple(
        evaluation
        for index, evaluation in enumerate(winner.evaluations)
        if start + index not in taken or _lacking(folder / f"results_{start + index}", winner)
    )


LAST_ADDED = "train_history.png"
"""The figure whose other formats are added last to a directory: if they are there, all are."""

PROBE = ".results_probe_"
"""Prefix of temporary files that test whether a folder is writable."""


def unpublished(folder: Path) -> list[Path]:
    """Returns the incomplete results in a folder: of a killed process, unless one is writing now."""
    return [entry for entry in folder.iterdir() if _SPARE.fullmatch(entry.name)]


def clear_unpublished(folder: Path) -> None:
    """Removes incomplete results of killed processes; waits for a running writer."""
    if folder.is_dir():
        with alone(folder):
            pass


def probes(folder: Path) -> list[Path]:
    """Returns the leftovers of killed write tests; earlier versions used empty folders."""
    return list(folder.glob(f"{PROBE}*"))


def clear_probes(folder: Path) -> None:
    """Removes leftovers of killed write tests."""
    for entry in probes(folder):
        with suppress(OSError):  # not empty, so not ours
            entry.rmdir()


MIN_FREE_BYTES = 20_000_000
"""Minimum free disk space in bytes to start anything."""


def require_writable(folder: Path) -> None:
    """Checks before any training that `write_results` can write; leaves nothing behind.

    Args:
        folder: folder of the results; it may not exist yet.

    Raises:
        OutputRefused: if the folder, or its nearest existing parent, is not writable, or its disk is full.
    """
    try:  # only writing tells for sure: permission bits do not apply to root or a read-only mount
        # If the disk supports it, the file never has a name, so that a killed process leaves nothing.
        with tempfile.TemporaryFile(prefix=PROBE, dir=_nearest(folder)) as file:
            file.write(b"0")
            file.flush()
        clear_probes(_nearest(folder))
        free = shutil.disk_usage(_nearest(folder)).free
    except OSError as error:
        raise refused(folder, error) from error
    if free < MIN_FREE_BYTES:
        raise OutputRefused(
            f"the disk of {folder} has {free / 1e6:.1f} MB left, but a training needs at least "
            f"{MIN_FREE_BYTES / 1e6:.0f} MB for its checkpoints and results; choose another folder or free some space"
        )


def _nearest(folder: Path) -> Path:
    while folder != folder.parent:
        try:
            os.lstat(folder)
        except FileNotFoundError:
            folder = folder.parent
        else:
            break
    return folder


def refused(folder: Path, error: OSError) -> OutputRefused:
    """Returns the error that nothing can be written in a folder.

    Args:
        folder: the folder that was to be written to.
        error: the reason that the system gave.
    """
    where = f" ({error.filename})" if error.filename and str(error.filename) != str(folder) else ""
    return OutputRefused(
        f"cannot write in {folder}: {error.strerror or error}{where}; choose another folder or fix this one"
    )


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Waits for other writers of ours in `folder`, and removes leftovers of killed ones."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a disk without locks: nothing is overwritten, at worst a second block is used
            fcntl.flock(handle, fcntl.LOCK_EX)
            for entry in unpublished(folder):
                with suppress(OSError):  # the claimed name; not empty if somebody else uses it
                    (folder / entry.name.split(".")[1]).rmdir()
                shutil.rmtree(entry, ignore_errors=True)
        yield
    finally:
        os.close(handle)


def _taken(folder: Path, winner: Winner) -> dict[int, int | None]:
    """Returns the used numbers with the member of this block that the directory is, or None."""
    return {
        int(match[1]): _member(entry, winner.block)
        for entry in folder.iterdir()
        if (match := _NAME.fullmatch(entry.name))
    }


def _member(entry: Path, block: str) -> int | None:
    path = entry / "summary.json"
    try:
        if not path.is_file():  # reading a pipe would block
            return None
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None  # unreadable, so not ours
    section = found.get(SECTION) if isinstance(found, dict) else None
    # A copy still contains its old name; it belongs to the user.
    if not isinstance(section, dict) or section.get("block") != block or found.get("run_id") != entry.name:
        return None
    member = section.get("member")
    return member if type(member) is int else None


def _start(taken: Mapping[int, int | None], length: int, first: int) -> int:
    """Returns the number of the block's first directory: of the fullest existing block, or else the next free one."""
    known = {number - member for number, member in taken.items() if member is not None}
    fits = [start for start in known if all(taken.get(start + index, index) == index for index in range(length))]
    if fits:
        return min(fits, key=lambda start: (-sum(start + index in taken for index in range(length)), start))
    blocks = itertools.count(first, length)
    return next(start for start in blocks if not any(start + index in taken for index in range(length)))


def _published(winner: Winner, places: Sequence[Path], guard: Guard) -> bool:
    """Writes the missing directories; False, with nothing written, if a name was taken in the meantime."""
    missing = {member: place for member, place in enumerate(places) if not os.path.lexists(place)}
    replicates = [_replicate(winner, member) for member in missing]
    spares = {place: place.with_name(f".{place.name}.{os.getpid()}") for place in missing.values()}
    try:
        for replicate, (place, spare) in zip(replicates, spares.items(), strict=True):
            spare.mkdir()
            replicate.write(spare, place.name)
        return publish(spares, guard)
    finally:
        for spare in spares.values():
            shutil.rmtree(spare, ignore_errors=True)


def _replicate(winner: Winner, member: int) -> Replicate | FoldedReplicate:
    return (FoldedReplicate if winner.evaluations[0].folds else Replicate).load(winner, member)


def _lacking(place: Path, winner: Winner) -> list[str]:
    """Returns the formats whose figures a directory lacks."""
    return [
        name for name in winner.formats if name != "png" and not (place / LAST_ADDED).with_suffix(f".{name}").exists()
    ]


def _add_figures(winner: Winner, places: Sequence[Path], guard: Guard) -> None:
    """Adds the figures of formats that directories lack: those that were written before the formats were asked for."""
    for member, place in enumerate(places):
        if not (lacking := _lacking(place, winner)):
            continue
        spare = place.with_name(f".{place.name}.{os.getpid()}")
        try:
            spare.mkdir()
            _replicate(replace(winner, formats=tuple(lacking)), member).draw(spare)
            _sync_tree(spare)
            drawn = [path.relative_to(spare) for path in spare.rglob("*") if path.suffix[1:] in lacking]
            guard()
            for path in sorted(drawn, key=lambda one: one.stem == Path(LAST_ADDED).stem and one.parent == Path()):
                (place / path).parent.mkdir(parents=True, exist_ok=True)
                if not os.path.lexists(place / path):  # an artifact of the trainable, or added before a crash
                    os.rename(spare / path, place / path)
            for parent in {(place / path).parent for path in drawn}:
                sync(parent)
        finally:
            shutil.rmtree(spare, ignore_errors=True)


def publish(spares: Mapping[Path, Path], guard: Guard) -> bool:
    """Renames complete folders to free places; False, with nothing renamed, if a place was taken in the meantime.

    Args:
        spares: the folders by their places, which are in one folder.
        guard: called right before a folder is renamed; see `hpo.core.files.atomic_write`.
    """
    claimed: list[Path] = []
    try:
        for spare in spares.values():
            _sync_tree(spare)
        guard()
        for place in spares:
            try:
                place.mkdir()  # atomic; and a rename replaces only an empty folder
            except FileExistsError:
                return False
            claimed.append(place)
        for place, spare in spares.items():
            guard()
            os.rename(spare, place)
            claimed.remove(place)
        for parent in {place.parent for place in spares}:
            sync(parent)
        return True
    finally:
        for place in claimed:
            with suppress(OSError):  # not empty, so somebody else uses it
                place.rmdir()


def _sync_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        sync(path)
    sync(folder)
