"""Runs jobs in worker processes of this machine."""

from __future__ import annotations

import queue
import time
import uuid
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import cloudpickle

from hpo.backends.bridge import WorkerBridge
from hpo.backends.processes.orders import Answer, Call, Dropped, Import, Started
from hpo.backends.processes.pool import ProcessPool, WorkerProcess
from hpo.backends.shipping import ship
from hpo.backends.worker import CHUNK_SECONDS, Task, WorkerMessage
from hpo.core.errors import BackendError
from hpo.core.protocols import DONE, JobSource, Resources, Stop, TrainableRef
from hpo.core.records import Evaluation, Job
from hpo.training import discard_checkpoint, work_dir

POLL_SECONDS = 0.2
"""Seconds between two checks for a stop, and for a database that was away."""

CLOSING_SECONDS = 30.0
"""How long a training may take to close after its end, before its process is ended."""

MOST_FAILED_STARTS = 3
"""How many processes in a row may die before they can train anything."""


class ProcessBackend:
    """Runs jobs in the processes of a pool, with the results of the local backend.

    Args:
        work: the study's folder or URL for checkpoints and artifacts.
        pool: the processes that train.
        slots: maximum number of trainings at a time; None: one in each process.
    """

    def __init__(self, work: str | Path, pool: ProcessPool, slots: int | None = None) -> None:
        self._work = str(work)
        self._pool = pool
        self._slots = min(pool.slots, slots or pool.slots)
        self.overdue: tuple[Job, ...] = ()

    def run(self, source: JobSource, trainable: TrainableRef, resources: Resources, stop: Stop) -> None:
        """Runs the source's jobs until it is done or `stop` is set.

        A training whose process dies goes on in another one, from its checkpoint.

        Raises:
            UsageError: if the trainable is a function of a session that cannot be copied.
            BackendError: if no process can be started.
        """
        self.overdue = ()
        idle = Task(
            job=None,
            trainable=trainable,
            resources=resources,
            work=self._work,
            chunk_seconds=CHUNK_SECONDS,
            halt=f"halt-{uuid.uuid4().hex[:8]}",
        )
        ship(trainable, cloudpickle.dumps, "cloudpickle", "leave out concurrency")  # raises before there is a job
        bridge = WorkerBridge(source, idle, stop, self._finished)
        run = _Run(bridge, self._pool, self._slots)
        try:
            run.serve()
        finally:
            run.end()
            self.overdue = bridge.overdue
            bridge.close()
            work_dir(self._work).clear_flags(idle.halt)
        if bridge.fault is not None:
            raise bridge.fault

    def _finished(self, evaluation: Evaluation) -> None:
        discard_checkpoint(self._work, evaluation.job)


class _Run:
    """One run of a source's jobs in a pool."""

    def __init__(self, bridge: WorkerBridge, pool: ProcessPool, slots: int) -> None:
        self._bridge = bridge
        self._pool = pool
        self._slots = slots
        self._trials = 0
        self._failed_starts = 0
        self._is_ending = False
        pool.fill(slots)
        for worker in self._workers:
            self._let_import(worker)

    def serve(self) -> None:
        """Hands out jobs and passes on what the workers say, until there is nothing left to do.

        Raises:
            BackendError: if no process can be started.
        """
        while not self._bridge.closing():
            is_over = self._hand_out() or self._bridge.stop.is_set()
            if is_over and not any(worker.trial for worker in self._workers):
                return
            self._end_late()
            self._await_event()

    def end(self) -> None:
        """Ends what still runs, so that the pool is ready for the next run. Jobs of killed processes stay open."""
        self._is_ending = True
        for worker in self._workers:
            if worker.trial is not None:  # after an error; otherwise all have ended
                self._kill(worker)
        while any(worker.closes_until is not None for worker in self._workers):
            self._end_late()
            self._await_event()

    @property
    def _workers(self) -> list[WorkerProcess]:
        return self._pool.workers[: self._slots]

    def _hand_out(self) -> bool:
        """Gives tasks to free workers; returns whether the source has no more of them."""
        for worker in [worker for worker in self._workers if worker.is_free]:
            self._trials += 1
            trial = str(self._trials)
            answer = self._bridge.task(trial)
            if not isinstance(answer, Task):
                return answer is DONE
            if answer.job is None:  # the source waits
                self._bridge.trial_ended(trial)
                return False
            worker.trial = trial
            if answer.trainable.function is None:
                worker.send(answer)
            else:
                worker.send_pickled(cloudpickle.dumps(answer))
        return False

    def _await_event(self) -> None:
        with suppress(queue.Empty):
            event = self._pool.events.get(timeout=POLL_SECONDS)
            if event.worker in self._pool.workers:  # else another process has taken its place
                self._handle(event.worker, event.answer)

    def _handle(self, worker: WorkerProcess, answer: Answer | None) -> None:
        match answer:
            case None:
                self._died(worker)
            case Started():
                worker.pending -= 1
                self._failed_starts = self._failed_starts if worker.pending else 0
            case Dropped(is_usable):
                worker.closes_until = None
                if not is_usable:
                    self._replace(worker)
            case WorkerMessage() if worker.trial is not None:
                if self._bridge.receive(worker.trial, answer):
                    self._close(worker)
                    worker.send(Call.DROP)
                else:
                    worker.send(Call.STEP)

    def _died(self, worker: WorkerProcess) -> None:
        """Gives the job of a worker that died to another one; too many deaths fail it.

        Raises:
            BackendError: if no process can be started.
        """
        trial, reason = worker.trial, worker.reason
        self._failed_starts += worker.pending > 0
        self._replace(worker)
        if trial is not None and not self._is_ending:
            self._bridge.worker_died(trial, reason, counts=True)
        if self._failed_starts >= MOST_FAILED_STARTS:
            raise BackendError(
                f"{self._failed_starts} worker processes in a row died before they could train anything; the last: "
                f"{reason}. Without them, one training at a time: --backend local without --concurrency"
            )

    def _end_late(self) -> None:
        """Kills the processes of trainings that do not end in time, or do not close."""
        trials = {worker.trial: worker for worker in self._workers if worker.trial is not None}
        for trial in [*self._bridge.overdue_trials(), *self._bridge.stuck_trials(trials)]:
            self._kill(trials[trial])
        now = time.monotonic()
        for worker in self._workers:
            if worker.closes_until is not None and now > worker.closes_until:
                self._kill(worker)

    def _close(self, worker: WorkerProcess) -> None:
        worker.trial, worker.closes_until = None, time.monotonic() + CLOSING_SECONDS

    def _kill(self, worker: WorkerProcess) -> None:
        worker.kill()
        self._close(worker)  # until its death is reported

    def _replace(self, worker: WorkerProcess) -> None:
        if self._is_ending:
            self._pool.remove(worker)
        else:
            self._let_import(self._pool.replace(worker))

    def _let_import(self, worker: WorkerProcess) -> None:
        """Lets a worker find what a function of a session imports."""
        trainable = self._bridge.idle.trainable
        if trainable.function is not None:
            worker.send(Import(replace(trainable, function=None)))
