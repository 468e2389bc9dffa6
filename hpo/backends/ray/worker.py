"""What runs in a worker process: trainings, one after the other, and naps between them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import ray
from ray import tune

from hpo.backends.limits import Watchdog
from hpo.backends.prints import WorkerPrints
from hpo.core.limits import MEMORY, TIME
from hpo.core.protocols import Resources, TrainableRef
from hpo.core.records import Job
from hpo.core.redaction import driver_variables
from hpo.core.tracker import JobUpdate
from hpo.training import TrainingRun, work_dir

SHORTEST_NAP, LONGEST_NAP = 0.01, 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a Tune trial is to do.

    One object rather than a nested dict: Tune flattens dicts into the names of its folders.

    Attributes:
        job: the job, or None for an idle trial.
        trainable: with what to train.
        resources: what the training gets.
        work: the study's folder, or its URL.
        chunk_seconds: how long to train before the next update; at least one step is trained.
        halt: name of a flag in the study's work folder; once it is raised the training pauses between two epochs.
            Tune has no call for that.
    """

    job: Job | None
    trainable: TrainableRef
    resources: Resources
    work: str
    chunk_seconds: float
    halt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerMessage:
    """What a worker sends.

    Attributes:
        update: what is new, None from an idle trial.
        printed: lines that the training has printed since the last one.
    """

    update: JobUpdate | None
    printed: tuple[str, ...] = ()


class WorkerNotRestored(Exception):
    """A training left something in this worker's process that cannot be put back: a new process must take over."""


class Worker(tune.Trainable):
    """One process. A trial is a training that is advanced; an idle trial is a short sleep."""

    _nap: float
    _task: Task

    def setup(self, config: Mapping[str, Any], shipped: Sequence[Any] = ()) -> None:
        for name in driver_variables(of_ray=True):
            os.environ.pop(name)  # a cluster that takes jobs has them for its drivers, and gives them to all
        self._training: TrainingRun | None = None
        self._watchdog: Watchdog | None = None
        self._prints = WorkerPrints()
        self._unrestored: tuple[str, ...] = ()
        self._work_dir = work_dir(config["task"].work)
        self._function = None
        if shipped:  # a function of the driver's session; what it imports is in the project
            sys.path.insert(0, config["task"].trainable.root)
            self._function = ray.get(shipped[0])
        self._take(config["task"])

    def reset_config(self, new_config: Mapping[str, Any]) -> bool:
        self._take(new_config["task"])
        return True

    def step(self) -> dict[str, object]:
        update = None
        if self._training is None:
            time.sleep(self._nap)
            self._nap = min(2 * self._nap, LONGEST_NAP)
        else:
            halted = self._work_dir.has_flag(self._task.halt)
            with self._prints.captured(), self._measured():
                update = self._training.pause() if halted else self._training.advance(self._task.chunk_seconds)
        return {"message": WorkerMessage(update=update, printed=self._prints.taken())}

    def cleanup(self) -> None:
        self._drop()

    def get_auto_filled_metrics(self, *args: object, **kwargs: object) -> dict[str, object]:
        """Leaves out host, date, clock and config, some twenty entries per result that nobody reads."""
        return {"trial_id": self.trial_id}

    def _take(self, task: Task) -> None:
        self._drop()
        if self._unrestored:
            raise WorkerNotRestored("; ".join(self._unrestored)[:100])
        self._task, self._nap = task, SHORTEST_NAP
        if task.job is not None:
            if task.resources.limited:
                self._watchdog = Watchdog(task.resources, partial(_tell_exceeded, task, task.job))
            with self._prints.captured(), self._measured():
                trainable = replace(task.trainable, function=self._function)
                self._training = TrainingRun(task.job, trainable, task.resources, task.work)
            self._prints.log = self._training.log
            share_gpu(task.resources.gpu)  # the trainable is loaded, and with a card torch is; nothing has run yet

    def _drop(self) -> None:
        """Closes the training, if there is one.

        Tune does not tell an actor that it stops a trial whose worker it will use again: the old training is closed
        when the next one comes, and only the last one by `cleanup`.
        """
        training, self._training = self._training, None
        if training is not None:
            with self._prints.captured(), self._measured():
                self._unrestored += training.close()
        if self._watchdog is not None:
            self._watchdog.stop()
            self._watchdog = None
        self._prints.log = None
        self._prints.taken()  # what is printed on the way out belongs to no later training

    def _measured(self) -> AbstractContextManager[None]:
        """Returns a block whose time counts as the training's."""
        return nullcontext() if self._watchdog is None else self._watchdog.inside()


def exceeded_limit(task: Task, job: Job) -> str | None:
    """Returns the reason if a worker has ended because its training exceeded a limit; None: it died of something else.

    Args:
        task: any task of the same run.
        job: the job that was trained.
    """
    for kind in (TIME, MEMORY) if task.resources.limited else ():
        work, flag = work_dir(task.work), _limit_flag(task, job, kind)
        if work.has_flag(flag):
            work.clear_flag(flag)
            return task.resources.describe_exceeded(kind)
    return None


def _tell_exceeded(task: Task, job: Job, kind: str) -> None:
    """Raises the flag by which the driver knows why a worker has ended."""
    work_dir(task.work).set_flag(_limit_flag(task, job, kind))


def _limit_flag(task: Task, job: Job, kind: str) -> str:
    return f"{task.halt}-{kind}-{job.folder.replace('/', '-')}"


def share_gpu(gpu: float) -> None:
    """Holds this process to its part of a graphics card's memory: Ray divides cards but does not."""
    torch = sys.modules.get("torch")
    if 0 < gpu < 1 and torch is not None and torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(gpu)
