"""The trainings that run right now, as a driver stores them for those who watch."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy import select

from hpo.core.records import Job, Stage
from hpo.store.tables import LeaseRow

if TYPE_CHECKING:
    from hpo.store.store import Store, StoredStudy


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningTraining:
    """A training that runs.

    Attributes:
        trial: number of the trial.
        stage: what it is trained for.
        seed: seed that it is trained under.
        fold: its fold; 0 without cross-validation.
        budget: epochs that it may train.
        epoch: epochs that it has reported; 0: none yet.
        value: the objective's value at that epoch; None: it has reported none yet.
    """

    trial: int
    stage: Stage
    seed: int
    fold: int
    budget: int
    epoch: int = 0
    value: float | None = None

    @classmethod
    def of(cls, job: Job) -> RunningTraining:
        """Returns the training of a job, which has reported nothing yet."""
        return cls(trial=job.trial, stage=job.stage, seed=job.seed, fold=job.fold, budget=job.budget)

    def at(self, epoch: int, value: float) -> RunningTraining:
        """Returns the training after an epoch."""
        return replace(self, epoch=epoch, value=value)


def as_text(trainings: Iterable[RunningTraining]) -> str:
    """Returns trainings as they are stored: JSON."""
    return json.dumps([asdict(one) for one in trainings])


def running_of(store: Store, study: StoredStudy) -> tuple[RunningTraining, ...]:
    """Returns the trainings that a study's driver trains now; empty if no driver is alive.

    Args:
        store: store that has the study.
        study: the study as the store has it.
    """
    holder = store.holder(study)
    if holder is None or not holder.alive:
        return ()
    query = select(LeaseRow.running).where(LeaseRow.study_id == study.id)
    text = store.read(lambda connection: connection.execute(query).scalar())
    return tuple(RunningTraining(**{**one, "stage": Stage(one["stage"])}) for one in json.loads(text or "[]"))
