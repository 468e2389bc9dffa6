"""Keeps the files of a search's trials: writes the folders of those that the study's table [results] names."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from hpo.core import provenance
from hpo.core.errors import OutputRefused
from hpo.core.formatting import counted, near, size
from hpo.core.protocols import Done, JobSource, Wait
from hpo.core.records import Evaluation, Job, Stage
from hpo.core.wrappers import SourceWrapper
from hpo.driver.session import Session
from hpo.results import FOLDER, KeptFolder, KeptTrial, TrialInfo, kept_folders, remove_trials, write_trial
from hpo.study import Trial, sort_best_first
from hpo.training import work_dir

EVERY_SECONDS = 30.0
"""Seconds of a running search after which the folders of newly finished trials are written."""

FINISHED = ("complete", "pruned", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptTrials:
    """The kept trials of a study.

    Attributes:
        folder: folder with a directory per trial.
        trials: numbers of the kept trials.
        size: bytes of all their files.
        notes: what is missing, and why, as sentences.
    """

    folder: Path
    trials: tuple[int, ...]
    size: int
    notes: tuple[str, ...]

    def text(self) -> str:
        """Returns what is printed."""
        kept = f"Kept: {counted(len(self.trials), 'trial')}, {size(self.size)}, in {near(self.folder)}."
        return "\n".join([kept, *self.notes])

    def plain(self) -> dict[str, object]:
        """Returns plain values for JSON."""
        return {
            "folder": str(self.folder),
            "trials": list(self.trials),
            "bytes": self.size,
            "notes": list(self.notes),
        }


class TrialKeeper:
    """Writes the folders of a search's finished trials.

    What it does depends only on the trials and the existing folders, so that it continues after a crash.

    Args:
        session: the study's session, which holds the lease.
        trials: returns the current trials of the search.
    """

    def __init__(self, session: Session, trials: Callable[[], Sequence[Trial]]) -> None:
        self._session = session
        self._trials = trials
        self._table = session.study.results
        self._folder = session.config.outputs / session.study.name / FOLDER
        self._kept = kept_folders(self._folder, session.stored.uid)
        self._seen: set[int] = set()  # trials of which nothing has to be written any more
        self._missing: dict[str, list[int]] = {}  # trials without all of their files, by what is missing
        self._foreign: list[str] = []  # paths that trials would have, and that are not ours
        self._error: str | None = None
        self._too_large: list[int] = []
        self._project = provenance.project(session.study.root)
        self._due = time.monotonic() + EVERY_SECONDS

    def write_if_due(self) -> None:
        """Writes the folders of newly finished trials if that was not done recently."""
        if time.monotonic() >= self._due:
            self.write()

    def write(self) -> None:
        """Writes the folders that are missing and removes those of trials that are not among the best any more.

        If nothing can be written, the search goes on and a note says why.
        """
        finished = [one for one in self._trials() if one.state in FINISHED]
        best, wanted, self._error = self._table.best, finished, None
        try:
            if best is not None:
                wanted = sort_best_first(finished, self._session.study)[:best]
                self._leave_out({one.number for one in finished}, {one.number for one in wanted})
            for trial in wanted:
                if trial.number not in self._seen:
                    self._write_one(trial)
        except (OutputRefused, OSError) as error:  # the trainings are recorded, and the next run writes the rest
            self._error = f"Not all trials are kept yet: {error}."
        self._due = time.monotonic() + EVERY_SECONDS

    def outcome(self) -> KeptTrials:
        """Returns what is kept now."""
        notes = [f"Without {what}: trial {_listed(numbers)}." for what, numbers in self._missing.items()]
        notes += [f"{path} is not of this search, so it stays; remove it to keep that trial." for path in self._foreign]
        notes += [self._error] if self._error else []
        if self._too_large:
            notes.append(
                f"The limit of {self._table.limit} ([results] limit) is reached, so these are not kept: trial "
                f"{_listed(self._too_large)}."
            )
        return KeptTrials(
            folder=self._folder,
            trials=tuple(sorted(self._kept)),
            size=sum(one.size for one in self._kept.values()),
            notes=tuple(notes),
        )

    def _leave_out(self, finished: set[int], wanted: set[int]) -> None:
        """Removes the files of trials that are not among the best; they cannot be again, because values do not change.

        Folders that were written when all trials were kept stay.
        """
        worse = {one: kept for one, kept in self._kept.items() if kept.rule.startswith("best:") and one not in wanted}
        if worse:
            self._session.guard()
            remove_trials(self._folder, worse.values())
            for number in worse:
                del self._kept[number]
                self._seen.discard(number)
        work = work_dir(self._session.work_folder)
        for number in finished - wanted - self._seen:
            if number not in self._kept:
                for one in self._evaluations(number):
                    work.drop(one.job.folder, leave_log=True)
            self._seen.add(number)

    def _write_one(self, trial: Trial) -> None:
        number, evaluations = trial.number, self._evaluations(trial.number)
        if not evaluations:
            self._seen.add(number)
            return
        with ExitStack() as stack:
            kept = KeptTrial(
                info=self._info(trial),
                number=number,
                evaluations=evaluations,
                rule=self._table.keep,
                folders={one.job.digest: self._opened(one, stack) for one in evaluations},
            )
            old = self._kept.get(number)
            if old is None or old.digest != kept.digest:
                room = self._table.most_bytes - sum(one.size for other, one in self._kept.items() if other != number)
                try:
                    found = None if self._too_large else write_trial(self._folder, kept, room, old, self._session.guard)
                except FileExistsError as error:
                    self._foreign.append(str(error))
                else:
                    self._add(number, found, kept)
        self._seen.add(number)

    def _add(self, number: int, found: KeptFolder | None, kept: KeptTrial) -> None:
        if found is None:
            self._too_large.append(number)
        else:
            self._kept[number] = found
            for what in dict.fromkeys(kept.left_out):
                self._missing.setdefault(what, []).append(number)

    def _evaluations(self, number: int) -> tuple[Evaluation, ...]:
        return tuple(self._session.store.evaluations(self._session.stored, Stage.SEARCH, number))

    def _opened(self, evaluation: Evaluation, stack: ExitStack) -> Path:
        """Returns the files of a training as a folder on this machine's disk, until the stack is closed."""
        # A pruned training ends before it can tell where its files are.
        location = evaluation.files or f"{self._session.work_folder}/{evaluation.job.folder}"
        root, name = location.rpartition("/")[::2]
        work = work_dir(root)
        stack.callback(work.close, name)
        return work.open(name)

    def _info(self, trial: Trial) -> TrialInfo:
        study = self._session.study
        return TrialInfo(
            study=study.name,
            uid=self._session.stored.uid,
            objective=study.objective,
            fixed=study.fixed,
            search_value=trial.value,
            search_seed=study.search_seeds(trial.number)[0],
            trial={
                "number": trial.number,
                "state": trial.state,
                "datetime_start": trial.started,
                "datetime_complete": trial.ended,
                **({"values": list(trial.vector)} if trial.vector else {}),
            },
            project=self._project,
        )


class KeepingSource(SourceWrapper):
    """Writes the folders of finished trials while a search runs.

    Args:
        source: the source that hands out the jobs.
        keeper: writes the folders.
    """

    def __init__(self, source: JobSource, keeper: TrialKeeper) -> None:
        super().__init__(source)
        self._keeper = keeper

    def ask(self) -> Job | Wait | Done:
        self._keeper.write_if_due()  # here, and not in `tell`, because a call may be repeated if the database is away
        return super().ask()


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:10])) + (f" and {len(numbers) - 10} more" if len(numbers) > 10 else "")
