"""A winner's replicates as a block of consecutive directories, each whole or absent."""

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
_SPARE = re.compile(r"\.(results_[0-9]+)\.[0-9]+")


def write_results(folder: Path, winner: Winner, *, first: int = FIRST, guard: Guard = no_guard) -> tuple[Path, ...]:
    """Writes one directory per replicate and returns them in the order of the winner's evaluations.

    Where some of the directories exist already, only the missing ones are written, in their old places. Otherwise the
    next free block is taken: `first`, or as many lengths of the block further on as it takes. Nothing is overwrite.

    Args:
        folder: where the directories go; made if it is missing.
        winner: the winner whose replicates are written.
        first: number of the first directory of the first block.
        guard: asked right before a directory takes its place; see `hpo.core.files.atomic_write`.

    Raises:
        OutputRefused: if the folder cannot be written.
        HpoError: if files of a training are gone or damaged; then no directory is written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            for _ in range(ATTEMPTS):
                start = _start(_taken(folder, winner), len(winner.evaluations), first)
                places = tuple(folder / f"results_{start + member}" for member in range(len(winner.evaluations)))
                if _published(winner, places, guard):
                    return places
    except OSError as error:
        raise _refused(folder, error) from error
    raise OutputRefused(f"cannot write results in {folder}: another program keeps taking the free places; try again")


def unwritten(folder: Path, winner: Winner, *, first: int = FIRST) -> tuple[Evaluation, ...]:
    """Returns the evaluations whose directory `write_results` would have to write: the ones whose files it needs."""
    if not folder.is_dir():
        return winner.evaluations
    taken = _taken(folder, winner)
    start = _start(taken, len(winner.evaluations), first)
    return tuple(evaluation for index, evaluation in enumerate(winner.evaluations) if start + index not in taken)


PROBE = ".results_probe_"
"""How the names of files begin that are made to see whether a folder can be written."""


def clear_unpublished(folder: Path) -> None:
    """Removes the results that a process was writing when it was killed; waits for one that is alive."""
    if folder.is_dir():
        with _alone(folder):
            pass


def clear_probes(folder: Path) -> None:
    """Removes what processes left that were killed while they tried a folder; earlier versions made empty folders."""
    for entry in folder.glob(f"{PROBE}*"):
        with suppress(OSError):  # not empty: nobody's of ours
            entry.rmdir()


LEAST_ROOM = 20_000_000
"""Bytes; with less than that on the disk nothing is begun."""


def refuse_unwritable(folder: Path) -> None:
    """Raises where `write_results` could not write, before anything is trained; leaves nothing behind.

    Args:
        folder: the place of the results; it need not exist.

    Raises:
        OutputRefused: if the folder, or the nearest one above that exists, cannot be written, or its disk is full.
    """
    try:  # to write is the only honest question: permission bits say nothing to root, nor of a disk mounted read-only
        # Where the disk can, the file has no name at any time, so that a kill leaves nothing.
        with tempfile.TemporaryFile(prefix=PROBE, dir=_nearest(folder)) as file:
            file.write(b"0")
            file.flush()
        clear_probes(_nearest(folder))
        free = shutil.disk_usage(_nearest(folder)).free
    except OSError as error:
        raise _refused(folder, error) from error
    if free < LEAST_ROOM:
        raise OutputRefused(
            f"the disk of {folder} has {free / 1e6:.1f} MB left, and a training wants {LEAST_ROOM / 1e6:.0f} MB "
            "at least for its checkpoints and results; choose another folder or make room"
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


def _refused(folder: Path, error: OSError) -> OutputRefused:
    where = f" ({error.filename})" if error.filename and str(error.filename) != str(folder) else ""
    return OutputRefused(
        f"cannot write in {folder}: {error.strerror or error}{where}; choose another folder or make room for it"
    )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Waits until no other writer of ours is at work in `folder`, and clears away what a killed one left."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a disk without locks: what follows never overwrites, it may only take a second block
            fcntl.flock(handle, fcntl.LOCK_EX)
            for entry in folder.iterdir():
                if match := _SPARE.fullmatch(entry.name):
                    with suppress(OSError):  # it had taken the place; if anything is in it, somebody else has it
                        (folder / match[1]).rmdir()
                    shutil.rmtree(entry, ignore_errors=True)
        yield
    finally:
        os.close(handle)


def _taken(folder: Path, winner: Winner) -> dict[int, int | None]:
    """Returns the numbers in use: which member of this block a directory is, None where it is none of them."""
    return {
        int(match[1]): _member(entry, winner.block)
        for entry in folder.iterdir()
        if (match := _NAME.fullmatch(entry.name))
    }


def _member(entry: Path, block: str) -> int | None:
    path = entry / "summary.json"
    try:
        if not path.is_file():  # a pipe in its place would never end
            return None
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None  # broken or nobody's: not ours, and no fault of this promotion
    section = found.get(SECTION) if isinstance(found, dict) else None
    # A copy under another name still says its old one; it is the user's.
    if not isinstance(section, dict) or section.get("block") != block or found.get("run_id") != entry.name:
        return None
    member = section.get("member")
    return member if type(member) is int else None


def _start(taken: Mapping[int, int | None], length: int, first: int) -> int:
    """Returns the number of the block's first directory: the fullest block that is there, else the next free one."""
    known = {number - member for number, member in taken.items() if member is not None}
    fits = [start for start in known if all(taken.get(start + index, index) == index for index in range(length))]
    if fits:
        return min(fits, key=lambda start: (-sum(start + index in taken for index in range(length)), start))
    blocks = itertools.count(first, length)
    return next(start for start in blocks if not any(start + index in taken for index in range(length)))


def _published(winner: Winner, places: Sequence[Path], guard: Guard) -> bool:
    """Writes the missing directories; False, with nothing written, if somebody took one of the places meanwhile."""
    missing = {member: place for member, place in enumerate(places) if not os.path.lexists(place)}
    folded = bool(winner.evaluations[0].folds)
    replicates = [(FoldedReplicate if folded else Replicate).load(winner, member) for member in missing]
    spares = {place: place.with_name(f".{place.name}.{os.getpid()}") for place in missing.values()}
    claimed: list[Path] = []
    try:
        for replicate, (place, spare) in zip(replicates, spares.items(), strict=True):
            spare.mkdir()
            replicate.write(spare, place.name)
            _sync_tree(spare)
        guard()
        for place in spares:
            try:
                place.mkdir()  # only one can make it; and a folder replaces an empty one and no other
            except FileExistsError:
                return False
            claimed.append(place)
        for place, spare in spares.items():
            guard()
            os.rename(spare, place)
            claimed.remove(place)
        sync(places[0].parent)
        return True
    finally:
        for place in claimed:
            with suppress(OSError):  # somebody put something in it: theirs now
                place.rmdir()
        for spare in spares.values():
            shutil.rmtree(spare, ignore_errors=True)


def _sync_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        sync(path)
    sync(folder)
