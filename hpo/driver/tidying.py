"""Clears what killed commands left in a study's folders, once this driver holds the study. It never ends a driver."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hpo.core.errors import HpoError
from hpo.core.files import clear_temporary_files
from hpo.core.records import Job, Status
from hpo.results import clear_probes, clear_unpublished
from hpo.store import Store, StoredStudy, host, is_dead, process_key
from hpo.training import is_url, work_dir

OWNER = "owner.json"
"""In a folder that is no driver's: which process uses it."""

FOLDERS = ("tune-*", "halt-*")
"""What a driver makes directly in the study's work folder, and removes at its end."""

OWNED = "verify-*"
"""What other commands make there, and remove at their end."""


@contextmanager
def temporary_folder(work: str) -> Iterator[str]:
    """Gives a folder for trainings that nothing keeps, and removes it; a later driver does if this process is killed.

    Args:
        work: the folder, or its URL.
    """
    try:
        if not is_url(work):
            Path(work).mkdir(parents=True)
            said = {"host": host(), "pid": os.getpid(), "process": process_key(os.getpid())}
            (Path(work) / OWNER).write_text(json.dumps(said), encoding="utf-8")
        yield work
    finally:
        work_dir(work).remove()


def clear_leftovers(store: Store, stored: StoredStudy, work: str, outputs: Path) -> None:
    """Removes checkpoints of trainings that are over, and folders and half-written files of processes that are gone.

    Args:
        store: the records, which say what is over.
        stored: the study; this process has to be its driver.
        work: the study's folder for checkpoints, or its URL.
        outputs: the folder that has the study's results folder.
    """
    with suppress(OSError, HpoError):  # they are only in the way: what cannot be removed now is removed next time
        over = {}
        for (trial, stage, seed, fold, budget, variant), status, at in store.finished(stored):
            job = Job(trial=trial, params={}, stage=stage, seed=seed, fold=fold, budget=budget, variant=variant)
            over[job.folder] = at if status is Status.FAILED else None
        kept = work_dir(work)
        kept.tidy(over)
        if kept.scratch.is_dir():
            for pattern in FOLDERS:
                for path in kept.scratch.glob(pattern):
                    _remove(path)
            for path in kept.scratch.glob(OWNED):
                if _is_abandoned(path):
                    _remove(path)
    for folder in (outputs, outputs / stored.name):
        with suppress(OSError):
            clear_temporary_files(folder)
            clear_probes(folder)
            clear_unpublished(folder)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _is_abandoned(folder: Path) -> bool:
    """Whether the process that made a folder is surely gone; of one of another machine nobody here can be sure."""
    try:
        owner = json.loads((folder / OWNER).read_text(encoding="utf-8"))
        return is_dead(str(owner["host"]), int(owner["pid"]), owner["process"])
    except (OSError, ValueError, KeyError, TypeError):
        return not (folder / OWNER).exists() and _is_old(folder)


def _is_old(folder: Path) -> bool:
    """Whether a folder of an earlier version, which named no owner, has not been touched for a day."""
    return time.time() - folder.stat().st_mtime > 86400.0
