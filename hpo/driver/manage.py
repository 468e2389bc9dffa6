"""`delete`, `rename`, `copy` and `archive`: commands for whole studies."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from hpo.core.errors import OutputRefused, StudyChanged, UsageError
from hpo.core.redaction import masked
from hpo.core.run_config import RunConfig
from hpo.driver.options import DeleteOptions, accepts_options
from hpo.driver.resources import work_folder
from hpo.driver.session import checked_config
from hpo.driver.storage import name_of, storage, stored_study
from hpo.store import Store, copy_study, delete_study, rename_study
from hpo.store.optuna_storage.tables import OPTUNA
from hpo.study import NAME, Study
from hpo.training import work_dir


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySummary:
    """Size of a study, before or after a command.

    Attributes:
        study: current name of the study; for a deleted study, its last name.
        trials: number of its trials in Optuna's tables.
        evaluations: number of its recorded trainings.
        folders: folders that were moved or removed with it.
    """

    study: str
    trials: int
    evaluations: int
    folders: tuple[Path | str, ...] = ()


def summarize_study(study: str, config: RunConfig) -> StudySummary:
    """Returns what `delete` would delete, and deletes nothing.

    Raises:
        UsageError: if the storage has no such study.
    """
    with storage(config.storage) as (store, durable):
        stored, found = stored_study(store, study), durable.find(study)
        trials = len(found.trials()) if found else 0
        folders = tuple(one for one in (work_folder(stored, config), config.outputs / study) if _exists(one))
        return StudySummary(study=study, trials=trials, evaluations=len(store.keys(stored)), folders=folders)


@accepts_options(DeleteOptions)
def delete(study: Study | str, config: RunConfig | None, options: DeleteOptions) -> StudySummary:
    """Deletes a study from our tables and from Optuna's, in one transaction.

    If it is interrupted, the study is still there, and a second call finishes the work.

    Args:
        study: the study, or its name.
        config: where the study is stored; None: the defaults.
        options: which of its files to remove too.

    Raises:
        UsageError: if the storage has no such study.
        StudyBusy: if another process drives it.
        OutputRefused: if a folder cannot be removed.
    """
    name, config = name_of(study), checked_config(config)
    with storage(config.storage, writes=True) as (store, _durable):
        stored = stored_study(store, name)
        with store.held(stored) as lease:
            recorded = len(store.keys(stored))
            # Folders first: a study without files can still be deleted, but files without a study cannot be found.
            removed: list[Path | str] = []
            if options.checkpoints and _exists(work := work_folder(stored, config)):
                work_dir(work).remove()
                removed.append(work)
            if options.results and (config.outputs / name).is_dir():
                _remove(config.outputs / name)
                removed.append(config.outputs / name)
            trials = store.transact(lambda one: delete_study(one, OPTUNA, stored.id, name), lease)
    return StudySummary(study=name, trials=trials, evaluations=recorded, folders=tuple(removed))


def rename(study: str, new: str, config: RunConfig) -> StudySummary:
    """Renames a stored study, in our tables and in Optuna's, and its folder of results.

    The study file is not changed: edit its `name` by hand. If this is interrupted, a second call finishes it.

    Args:
        study: current name of the study.
        new: new name, which no study in the storage has yet.
        config: where the study is stored.

    Raises:
        UsageError: if the storage has no such study, or the new name cannot be used.
        StudyBusy: if another process drives it.
        OutputRefused: if the folder of results cannot be moved.
    """
    _require_valid_name(new)
    old_folder, new_folder = config.outputs / study, config.outputs / new
    with storage(config.storage, writes=True) as (store, durable):
        if store.find(study) is None and store.find(new) is not None and old_folder.is_dir():
            stored = stored_study(store, new)  # an earlier call renamed it and was interrupted
        else:
            stored = stored_study(store, study)
            _require_unused(new, store, durable.find(new) is not None)
            if os.path.lexists(new_folder):
                raise UsageError(f"{new_folder} already exists, so the results cannot be moved there; move it away")
            with store.held(stored) as lease:
                store.transact(lambda one: rename_study(one, OPTUNA, stored.id, study, new), lease)
        moved = _move(old_folder, new_folder)
        found = durable.find(new)
        trials = len(found.trials()) if found else 0
        return StudySummary(study=new, trials=trials, evaluations=len(store.keys(stored)), folders=moved)


def copy(study: str, new: str, config: RunConfig) -> StudySummary:
    """Copies a study's trials and recorded trainings to a new study, in one transaction.

    Results and promotions are not copied: promoting the copy trains nothing and writes its own results.

    Args:
        study: name of the study to copy.
        new: name of the copy, which no study in the storage has yet.
        config: where both studies are stored.

    Raises:
        UsageError: if the storage has no such study, or the new name cannot be used.
        StudyBusy: if another process drives it, because its trials are not complete yet.
    """
    _require_valid_name(new)
    with storage(config.storage, writes=True) as (store, durable):
        stored = stored_study(store, study)
        if durable.find(study) is None and store.keys(stored):
            raise StudyChanged(
                f"the trials of study {study!r} were deleted from Optuna's tables, so nothing can be copied"
            )
        _require_unused(new, store, durable.find(new) is not None)
        with store.held(stored) as lease:
            trials, evaluations = store.transact(lambda one: copy_study(one, OPTUNA, stored.id, study, new), lease)
    return StudySummary(study=new, trials=trials, evaluations=evaluations)


def archive(study: str, archived: bool, config: RunConfig) -> bool:
    """Marks a study as archived, or as not archived any more, and returns whether that changed anything.

    Nothing else of it changes, and it may be running.

    Args:
        study: name of the study.
        archived: whether lists leave it out from now on.
        config: where the study is stored.

    Raises:
        UsageError: if the storage has no such study, or it has no trials in Optuna's tables.
    """
    with storage(config.storage, writes=True) as (store, durable):
        stored_study(store, study)
        found = durable.find(study)
        if found is None:
            raise UsageError(f"study {study!r} has no trials yet, so it cannot be archived; run it first")
        changed = found.archived != archived
        if changed:
            found.archived = archived
        return changed


def _require_valid_name(new: str) -> None:
    if not re.fullmatch(NAME, new):
        raise UsageError(
            f"a study cannot be named {new!r}: expected 1 to 64 of a-z, 0-9, '.', '_', '-', a letter or digit first"
        )


def _require_unused(new: str, store: Store, in_optuna: bool) -> None:
    if store.find(new) is not None:
        raise UsageError(f"storage {masked(store.url)} already has a study named {new!r}; choose another name")
    if in_optuna:
        raise UsageError(f"Optuna's tables in {masked(store.url)} already have a study {new!r}; choose another name")


def _exists(folder: Path | str) -> bool:
    return "://" in str(folder) or os.path.isdir(folder)


def _move(old: Path, new: Path) -> tuple[Path, ...]:
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
