"""`clean`: removes the kept files of a search's trials, and what killed commands left."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from hpo.core.arguments import explains_arguments, require_type
from hpo.core.errors import StudyBusy
from hpo.core.files import tree_size
from hpo.core.records import Stage
from hpo.core.run_config import RunConfig
from hpo.driver.leftovers import clear_leftovers, find_leftovers, finished_job
from hpo.driver.options import CleanOptions
from hpo.driver.resources import work_folder
from hpo.driver.session import checked_config
from hpo.driver.storage import name_of, storage, stored_study
from hpo.results import FOLDER, kept_folders, remove_trials
from hpo.store import Store, StoredStudy
from hpo.study import Study
from hpo.training import work_dir


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanedStudy:
    """What was removed of a study, or would be.

    Attributes:
        study: name of the study.
        trials: numbers of the kept trials whose folders were removed.
        trials_bytes: bytes of these folders.
        trainings: number of trainings of the search whose files in the work folder were removed.
        trainings_bytes: bytes of these files.
        leftovers: files and folders of killed commands.
        leftovers_bytes: bytes of these files and folders.
        busy: why nothing was removed, because a driver holds the study; None: no driver does.
    """

    study: str
    trials: tuple[int, ...] = ()
    trials_bytes: int = 0
    trainings: int = 0
    trainings_bytes: int = 0
    leftovers: tuple[Path, ...] = ()
    leftovers_bytes: int = 0
    busy: str | None = None

    @property
    def size(self) -> int:
        """All removed bytes."""
        return self.trials_bytes + self.trainings_bytes + self.leftovers_bytes


@explains_arguments
def clean(
    study: Study | str | None = None, config: RunConfig | None = None, options: CleanOptions | None = None
) -> list[CleanedStudy]:
    """Removes the folders of kept trials, the files of finished search trainings, and what killed commands left.

    The promotion's results, its files and all records stay.

    Args:
        study: the study, or its name; None: all studies in the storage, except those that a driver holds.
        config: where it is stored; None: the defaults.
        options: whether to remove anything; None: the defaults.

    Raises:
        UsageError: if the storage has no such study.
        StudyBusy: if a driver holds the study that was named.
        OutputRefused: if something cannot be removed.
    """
    require_type("options", options, (CleanOptions, type(None)), "a CleanOptions")
    config, removes, found = checked_config(config), not (options or CleanOptions()).dry_run, []
    with storage(config.storage, writes=True) as (store, _):
        for name in store.names() if study is None else [name_of(study)]:
            stored = stored_study(store, name)
            try:
                with store.held(stored):
                    found.append(_clean(store, stored, config, removes=removes))
            except StudyBusy as error:
                if study is not None:
                    raise
                found.append(CleanedStudy(study=name, busy=str(error)))
    return found


def _clean(store: Store, stored: StoredStudy, config: RunConfig, *, removes: bool) -> CleanedStudy:
    work, folder = work_folder(stored, config), config.outputs / stored.name / FOLDER
    directory, kept = work_dir(work), kept_folders(folder, stored.uid)
    over = [finished_job(key).folder for key, _, _ in store.finished(stored) if key[1] is Stage.SEARCH]
    files = {job_folder: sizes for job_folder in over if (sizes := directory.kept(job_folder))}
    left = {path: tree_size(path) for path in find_leftovers(store, stored, work, config.outputs)}
    if removes:
        remove_trials(folder, kept.values())
        for job_folder in files:
            directory.drop(job_folder)
        clear_leftovers(store, stored, work, config.outputs)
        left = {path: size for path, size in left.items() if not os.path.lexists(path)}
    return CleanedStudy(
        study=stored.name,
        trials=tuple(sorted(kept)),
        trials_bytes=sum(one.size for one in kept.values()),
        trainings=len(files),
        trainings_bytes=sum(size for sizes in files.values() for size in sizes.values()),
        leftovers=tuple(left),
        leftovers_bytes=sum(left.values()),
    )
