"""What a worker process does, whichever backend has started it: trainings, one after the other."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial

from hpo.backends.limits import Watchdog
from hpo.backends.prints import WorkerPrints
from hpo.core.limits import MEMORY, TIME
from hpo.core.protocols import Resources, TrainableRef
from hpo.core.records import Job
from hpo.core.redaction import driver_variables
from hpo.core.tracker import JobUpdate
from hpo.training import TrainingRun, work_dir

CHUNK_SECONDS = 0.2
"""How long a worker trains before its next update; short epochs are sent together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a worker is to do.

    Attributes:
        job: the job; None: nothing, the worker is idle.
        trainable: with what to train.
        resources: what the training gets.
        work: the study's folder, or its URL.
        chunk_seconds: how long to train before the next update; at least one step is trained.
        halt: name of a flag in the study's work folder; once it is raised the training pauses between two epochs.
            It reaches workers that only Ray Tune can call.
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
        update: what is new; None from an idle worker.
        printed: lines that the training has printed since the last one.
    """

    update: JobUpdate | None
    printed: tuple[str, ...] = ()


class WorkerNotRestored(Exception):
    """A training left something in this worker's process that cannot be put back: a new process must take over."""


class TrainingWorker:
    """The trainings of one worker process, one at a time."""

    def __init__(self) -> None:
        for name in driver_variables(of_ray=True):
            os.environ.pop(name)  # a cluster that takes jobs has them for its drivers, and gives them to all
        self._training: TrainingRun | None = None
        self._watchdog: Watchdog | None = None
        self._prints = WorkerPrints()
        self._unrestored: tuple[str, ...] = ()
        self._task: Task | None = None

    @property
    def is_idle(self) -> bool:
        """Whether there is no training."""
        return self._training is None

    def listening(self) -> AbstractContextManager[None]:
        """Returns a block in which user code runs before there is a task; the first task gets what it prints."""
        return self._prints.captured()

    def take(self, task: Task, function: Callable[..., object] | None = None) -> None:
        """Begins a task, after the end of the one before.

        Args:
            task: what is to be done.
            function: the trainable itself if no import gives it; None: that of the task.

        Raises:
            WorkerNotRestored: if an earlier training has left something behind in this process.
        """
        self.drop()
        if self._unrestored:
            raise WorkerNotRestored("; ".join(self._unrestored)[:100])
        self._task = task
        if task.job is not None:
            if task.resources.limited:
                self._watchdog = Watchdog(task.resources, partial(_tell_exceeded, task, task.job))
            with self._prints.captured(), self._measured():
                trainable = task.trainable if function is None else replace(task.trainable, function=function)
                self._training = TrainingRun(task.job, trainable, task.resources, task.work)
            self._prints.log = self._training.log
            share_gpu(task.resources.gpu)  # the trainable is loaded, and with a card torch is; nothing has run yet

    def step(self) -> WorkerMessage:
        """Trains for a while and returns what is new; an idle worker returns at once."""
        update = None
        if self._training is not None and self._task is not None:
            halted = work_dir(self._task.work).has_flag(self._task.halt)
            with self._prints.captured(), self._measured():
                update = self._training.pause() if halted else self._training.advance(self._task.chunk_seconds)
        return WorkerMessage(update=update, printed=self._prints.taken())

    def drop(self) -> bool:
        """Closes the training, if there is one; returns whether the process can train another one."""
        training, self._training = self._training, None
        if training is not None:
            with self._prints.captured(), self._measured():
                self._unrestored += training.close()
        if self._watchdog is not None:
            self._watchdog.stop()
            self._watchdog = None
        if training is not None:
            self._prints.log = None
            self._prints.taken()  # what is printed on the way out belongs to no later training
        return not self._unrestored

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
