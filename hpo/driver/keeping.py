"""`delete`, `rename` and `copy`: whole studies, with what belongs to them."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from hpo.core.errors import OutputRefused, StudyChanged, UsageError
from hpo.core.redaction import masked
from hpo.core.run_config import RunConfig
from hpo.driver.placing import work_folder
from hpo.driver.storage import storage, stored_study
from hpo.store import Store, copy_study, delete_study, rename_study
from hpo.store.optuna_storage.tables import OPTUNA
from hpo.study import NAME
from hpo.training import work_dir


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyChange:
    """What became of a study.

    Attributes:
        study: its name, as it is now; of a deleted one, as it was.
        trials: how many it has, or had, in Optuna's tables.
        evaluations: how many trainings of it are recorded, or were.
        folders: that were moved with it, or removed with it.
    """

    study: str
    trials: int
    evaluations: int
    folders: tuple[Path | str, ...] = ()


def standing_of(study: str, config: RunConfig) -> StudyChange:
    """Returns what a deletion would delete, without doing it.

    Raises:
        UsageError: if the storage has no such study.
    """
    with storage(config.storage) as (store, durable):
        stored, found = stored_study(store, study), durable.find(study)
        trials = len(found.trials()) if found else 0
        folders = tuple(one for one in (work_folder(stored, config), config.outputs / study) if _is_there(one))
        return StudyChange(study=study, trials=trials, evaluations=len(store.keys(stored)), folders=folders)


def delete(study: str, config: RunConfig, *, checkpoints: bool = False, results: bool = False) -> StudyChange:
    """Deletes a study from the database: our records, its trials in Optuna's tables, in one transaction.

    Where it is interrupted, the study is still there, and the same again finishes the work.

    Args:
        study: name of the study.
        config: where it is kept.
        checkpoints: whether its work folder is removed too, with checkpoints and artefacts.
        results: whether its folder in the outputs is removed too, with all results.

    Raises:
        UsageError: if the storage has no such study.
        StudyBusy: if somebody drives it.
        OutputRefused: if a folder cannot be removed.
    """
    with storage(config.storage, writes=True) as (store, _durable):
        stored = stored_study(store, study)
        with store.held(stored) as lease:
            recorded = len(store.keys(stored))
            # The folders first: a study whose files are gone can be deleted, but nobody finds the files of a lost one.
            gone: list[Path | str] = []
            if checkpoints and _is_there(work := work_folder(stored, config)):
                work_dir(work).remove()
                gone.append(work)
            if results and (config.outputs / study).is_dir():
                _remove(config.outputs / study)
                gone.append(config.outputs / study)
            trials = store.transact(lambda one: delete_study(one, OPTUNA, stored.id, study), lease)
    return StudyChange(study=study, trials=trials, evaluations=recorded, folders=tuple(gone))


def rename(study: str, new: str, config: RunConfig) -> StudyChange:
    """Gives a stored study another name, in our tables and in Optuna's; its folder of results goes with it.

    The study's file is not touched: its `name` is to be changed by hand. Where this is interrupted, the same again
    finishes it.

    Args:
        study: name of the study.
        new: a name that no study of the storage has.
        config: where it is kept.

    Raises:
        UsageError: if the storage has no such study, or the new name cannot be used.
        StudyBusy: if somebody drives it.
        OutputRefused: if the folder of results cannot be moved.
    """
    _refuse_name(new)
    old_folder, new_folder = config.outputs / study, config.outputs / new
    with storage(config.storage, writes=True) as (store, durable):
        if store.find(study) is None and store.find(new) is not None and old_folder.is_dir():
            stored = stored_study(store, new)  # renamed before, and interrupted
        else:
            stored = stored_study(store, study)
            _refuse_taken(new, store, durable.find(new) is not None)
            if os.path.lexists(new_folder):
                raise UsageError(f"{new_folder} is there already, so the results cannot get that name; move it away")
            with store.held(stored) as lease:
                store.transact(lambda one: rename_study(one, OPTUNA, stored.id, study, new), lease)
        moved = _moved(old_folder, new_folder)
        found = durable.find(new)
        trials = len(found.trials()) if found else 0
        return StudyChange(study=new, trials=trials, evaluations=len(store.keys(stored)), folders=moved)


def copy(study: str, new: str, config: RunConfig) -> StudyChange:
    """Makes a second study with the trials and the recorded trainings of a first, in one transaction.

    Results and promotions stay the first one's: to promote the copy trains nothing and writes its own.

    Args:
        study: the first one's name.
        new: a name that no study of the storage has.
        config: where they are kept.

    Raises:
        UsageError: if the storage has no such study, or the new name cannot be used.
        StudyBusy: if somebody drives it: its trials are not all there yet.
    """
    _refuse_name(new)
    with storage(config.storage, writes=True) as (store, durable):
        stored = stored_study(store, study)
        if durable.find(study) is None and store.keys(stored):
            raise StudyChanged(
                f"the trials of study {study!r} were deleted from Optuna's tables, so nothing can be copied"
            )
        _refuse_taken(new, store, durable.find(new) is not None)
        with store.held(stored) as lease:
            trials, evaluations = store.transact(lambda one: copy_study(one, OPTUNA, stored.id, study, new), lease)
    return StudyChange(study=new, trials=trials, evaluations=evaluations)


def _refuse_name(new: str) -> None:
    if not re.fullmatch(NAME, new):
        raise UsageError(
            f"a study cannot be named {new!r}: expected 1 to 64 of a-z, 0-9, '.', '_', '-', a letter or digit first"
        )


def _refuse_taken(new: str, store: Store, is_optuna_s: bool) -> None:
    if store.find(new) is not None:
        raise UsageError(f"storage {masked(store.url)} has a study named {new!r} already; choose another name")
    if is_optuna_s:
        raise UsageError(f"Optuna's tables in {masked(store.url)} have a study named {new!r}; choose another name")


def _is_there(folder: Path | str) -> bool:
    return "://" in str(folder) or os.path.isdir(folder)


def _moved(old: Path, new: Path) -> tuple[Path, ...]:
    if not old.is_dir() or os.path.lexists(new):
        return ()
    try:
        old.rename(new)
    except OSError as error:
        raise OutputRefused(f"cannot move {old} to {new}: {error.strerror or error}; move it by hand") from error
    return (new,)


def _remove(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise OutputRefused(
            f"cannot remove {folder}: {error.strerror or error}; nothing was deleted from the database"
        ) from error
