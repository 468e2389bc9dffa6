"""Removes what killed commands left in a study's folders, once this process drives the study; errors are ignored."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from hpo.core.errors import HpoError
from hpo.core.files import clear_temporary_files, temporary_files
from hpo.core.records import Job, JobKey, Status
from hpo.results import FOLDER as TRIALS
from hpo.results import clear_probes, clear_unpublished, probes, unpublished
from hpo.store import Store, StoredStudy, host, is_dead, process_key
from hpo.training import is_url, work_dir

OWNER = "owner.json"
"""Names the process that uses a folder which no driver made."""

FOLDERS = ("tune-*", "halt-*")
"""Folders that a driver makes in the study's work folder and removes when it ends."""

OWNED = "verify-*"
"""Folders that other commands make there and remove when they end."""


@contextmanager
def temporary_folder(work: str) -> Iterator[str]:
    """Makes a folder for trainings whose files are not kept, and removes it at the end.

    If this process is killed, a later driver removes it.

    Args:
        work: path of the folder, or its URL.
    """
    try:
        if not is_url(work):
            Path(work).mkdir(parents=True)
            owner = {"host": host(), "pid": os.getpid(), "process": process_key(os.getpid())}
            (Path(work) / OWNER).write_text(json.dumps(owner), encoding="utf-8")
        yield work
    finally:
        work_dir(work).remove()


def clear_leftovers(store: Store, stored: StoredStudy, work: str, outputs: Path) -> None:
    """Removes checkpoints of finished trainings, and folders and partly written files of processes that have ended.

    Args:
        store: the records, which say which trainings are finished.
        stored: the study, which this process must be driving.
        work: the study's folder for checkpoints, or its URL.
        outputs: the folder that contains the study's results folder.
    """
    with suppress(OSError, HpoError):  # leftovers do no harm: what cannot be removed now is removed next time
        directory = work_dir(work)
        directory.clean_up(_ended(store, stored))
        for path in _abandoned(directory.scratch):
            _remove(path)
    for folder in _results_folders(stored, outputs):
        with suppress(OSError):
            clear_temporary_files(folder)
            clear_probes(folder)
            clear_unpublished(folder)


def find_leftovers(store: Store, stored: StoredStudy, work: str, outputs: Path) -> list[Path]:
    """Returns what `clear_leftovers` would remove on this machine's disks, but not at a URL.

    Args:
        store: the records, which say which trainings are finished.
        stored: the study, which this process must be driving.
        work: the study's folder for checkpoints, or its URL.
        outputs: the folder that contains the study's results folder.
    """
    directory = work_dir(work)
    found = [*directory.leftovers(_ended(store, stored)), *_abandoned(directory.scratch)]
    for folder in _results_folders(stored, outputs):
        if folder.is_dir():
            found += [*temporary_files(folder), *probes(folder), *unpublished(folder)]
    return found


def finished_job(key: JobKey) -> Job:
    """Returns a job with the key of a finished one, for its folder; its params are not known."""
    trial, stage, seed, fold, budget, variant = key
    return Job(trial=trial, params={}, stage=stage, seed=seed, fold=fold, budget=budget, variant=variant)


def _ended(store: Store, stored: StoredStudy) -> dict[str, datetime | None]:
    """Returns the finished jobs as `WorkDir.clean_up` takes them."""
    jobs = store.finished(stored)
    return {finished_job(key).folder: at if status is Status.FAILED else None for key, status, at in jobs}


def _abandoned(scratch: Path) -> list[Path]:
    """Returns the folders that commands made in a work folder and did not remove."""
    owned = [path for path in scratch.glob(OWNED) if _is_abandoned(path)]
    return [path for pattern in FOLDERS for path in scratch.glob(pattern)] + owned


def _results_folders(stored: StoredStudy, outputs: Path) -> tuple[Path, ...]:
    return outputs, outputs / stored.name, outputs / stored.name / TRIALS


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _is_abandoned(folder: Path) -> bool:
    """Whether the process that made a folder has certainly ended; False for a process of another machine."""
    try:
        owner = json.loads((folder / OWNER).read_text(encoding="utf-8"))
        return is_dead(str(owner["host"]), int(owner["pid"]), owner["process"])
    except (OSError, ValueError, KeyError, TypeError):
        return not (folder / OWNER).exists() and _is_old(folder)


def _is_old(folder: Path) -> bool:
    """Whether a folder without an owner, made by an earlier version, was last changed more than a day ago."""
    return time.time() - folder.stat().st_mtime > 86400.0
