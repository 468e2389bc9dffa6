"""Between a source and worker processes: what each of them is to do, and what becomes of what it says.

A trial is what a backend calls the time that a worker spends on one task; with Ray Tune it is one of Tune's trials.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TypeVar

from hpo.backends.grace import Pace
from hpo.backends.worker import Task, WorkerMessage, exceeded_limit
from hpo.core.errors import RetryLater
from hpo.core.limits import TIME, time_of
from hpo.core.protocols import DONE, WAIT, Done, JobSource, Stop, TrainableRef, Wait
from hpo.core.records import Evaluation, Job
from hpo.core.tracker import JobTracker, JobUpdate
from hpo.core.wrappers import check_not_stuck, with_retries
from hpo.training import work_dir

Answer = TypeVar("Answer")

STUCK_SECONDS = 10.0
"""How much longer than its time limit a worker may be silent; by then it has ended itself, if it can."""

LONGEST_ROUND = 1.0
"""Seconds that one round of a backend adds to the silence of a worker at most."""

STARVED_SECONDS = 20.0
"""How long a job may be without a worker before an idle one is given up for it; longer than a worker takes to start."""


@dataclass(slots=True)
class _OpenJob:
    """A job that was handed out and is not told yet: its tracker, and updates that could not be passed on.

    Attributes:
        tracker: follows the job from its reports to its evaluation.
        updates: not passed on yet, because the database is away.
        evaluation: not told yet, for the same reason.
        deaths: workers that died over it, those left out whose node was taken away.
        reason: why the last worker died.
        waits_since: for a worker, by this process's clock; None: it has one.
        pace: how fast its training gets on.
        silent: seconds for which its worker has run without a message.
    """

    tracker: JobTracker
    updates: deque[JobUpdate] = field(default_factory=deque)
    evaluation: Evaluation | None = None
    deaths: int = 0
    reason: str = ""
    waits_since: float | None = field(default_factory=time.monotonic)
    pace: Pace = field(default_factory=Pace)
    silent: float = 0.0

    @property
    def starves(self) -> bool:
        """Whether it has been without a worker for long."""
        return self.waits_since is not None and time.monotonic() - self.waits_since > STARVED_SECONDS

    def remarked(self, evaluation: Evaluation | None) -> Evaluation | None:
        """Returns the evaluation with a remark on the worker that died, if one did."""
        if evaluation is None or not self.reason:
            return evaluation
        remark = f"went on in another worker after one had died: {self.reason}"
        return replace(evaluation, remarks=(*evaluation.remarks, remark))


@dataclass
class WorkerBridge:
    """Hands the source's jobs to the trials of a backend and what their workers say to the source.

    While the database is away the workers go on: what they say is kept, and a job that is over gives its slot back.

    Attributes:
        source: hands out jobs.
        idle: what a trial does while the source waits; a job's task is this one with the job in it.
        stop: whether to end the work.
        finished: called with each evaluation after the source has taken it.
        overdue: jobs whose worker did not end its epoch in time after a stop.
        fault: an exception of the source. Tune would take it for the trial's, so it is kept and raised after the run.
    """

    source: JobSource
    idle: Task
    stop: Stop
    finished: Callable[[Evaluation], None]
    overdue: tuple[Job, ...] = ()
    fault: Exception | None = None
    _open: dict[str, _OpenJob | None] = field(default_factory=dict)  # by trial; None: idle
    _untold: deque[_OpenJob] = field(default_factory=deque)  # over, and not told yet
    _without_worker: deque[_OpenJob] = field(default_factory=deque)  # their worker died
    _ready: Job | None = None  # asked for and not yet handed out
    _done: bool = False  # the source has no more jobs; those that are out may still come back
    _halting: bool = False
    _stopped_at: float | None = None
    _looked: float = field(default_factory=time.monotonic)  # for silent workers

    def closing(self) -> bool:
        """Whether nobody can go on; a stop, in contrast, lets everybody end an epoch, and is passed on here."""
        if self.stop.is_set():
            if self._stopped_at is None:
                self._stopped_at = time.monotonic()
            if not self._halting:
                with suppress(OSError):  # its server is away; tried again at the next result
                    work_dir(self.idle.work).set_flag(self.idle.halt)
                    self._halting = True
        return self.fault is not None

    def overdue_trials(self) -> list[str]:
        """Takes their jobs from the trials that have not ended an epoch in time after the stop, and returns those.

        The jobs stay open: they are not told, and go on from their checkpoints in the next run.
        """
        if self._stopped_at is None:
            return []
        seconds, least = time.monotonic() - self._stopped_at, self.idle.resources.stop_wait
        late = {name: one for name, one in self._open.items() if one is not None and seconds > one.pace.grace(least)}
        for trial_id, out in late.items():
            del self._open[trial_id]
            self.overdue += (out.tracker.job,)
        return list(late)

    def stuck_trials(self, running: Collection[str]) -> list[str]:
        """Fails the jobs of workers that are silent for longer than the time limit, and returns their trials.

        A worker notices the limit itself, unless its training blocks all of its threads.

        Args:
            running: ids of the trials whose workers have started.
        """
        now, late = time.monotonic(), []
        # A round that took long, e.g. because the database is away, says nothing: messages may wait.
        passed, self._looked = min(now - self._looked, LONGEST_ROUND), now
        if self.idle.resources.time is None:
            return []
        for trial_id, out in list(self._open.items()):
            if out is None or trial_id not in running:
                continue
            out.silent += passed
            if out.silent > time_of(self.idle.resources.time) + STUCK_SECONDS:
                del self._open[trial_id]
                self._fail(out, self.idle.resources.describe_exceeded(TIME))
                late.append(trial_id)
        return late

    @property
    def open(self) -> list[Job]:
        """The jobs that were handed out and whose end the source has not been told."""
        known = [*(out for out in self._open.values() if out is not None), *self._untold, *self._without_worker]
        return [out.tracker.job for out in known]

    def task(self, trial_id: str) -> Task | Wait | Done:
        """Returns what the new trial is to do.

        `WAIT`: nothing now, and no worker is kept for it. The source has no more jobs, but those that are out can come
        back when their worker dies, so a backend must not be told of the end before they are over.
        """
        answer = self._peek()
        if answer is DONE:
            return WAIT if self.open and not self._is_ending else DONE
        if not isinstance(answer, Job):
            self._open[trial_id] = None
            return self.idle
        if self._without_worker:
            self._open[trial_id] = again = self._without_worker.popleft()
            again.waits_since = time.monotonic()
        else:
            self._open[trial_id] = _OpenJob(_tracker(self.source, answer, self.idle.trainable))
            self._ready = None
        return replace(self.idle, job=answer)

    def receive(self, trial_id: str, message: WorkerMessage) -> bool:
        """Passes a worker's message on to the job's tracker, and the evaluation of a finished job to the source.

        Returns:
            Whether to end this trial: its job is over, or it is idle and there is a job to begin.
        """
        out = self._open.get(trial_id)
        if out is None or message.update is None:
            return self._peek() is not WAIT
        if out.waits_since is not None:  # its worker took a while to start
            out.waits_since, out.pace.since = None, time.monotonic()
        elif message.update.reports:
            out.pace.reported()
        out.silent = 0.0
        for line in message.printed:  # as it would stand there if the training ran in this process
            sys.stderr.write(f"trial {out.tracker.job.trial}: {line}\n")
        out.updates.append(message.update)
        over = self._guarded(lambda: self._settled(out), False)
        if not over and (message.update.paused or message.update.status is not None):
            self._untold.append(out)
            over = True
        if over:
            del self._open[trial_id]
        return over

    def recall(self, running: Collection[str]) -> str | None:
        """Takes a job back from a trial that has been without a worker for long, and returns the trial.

        Args:
            running: ids of the trials whose workers have started. They may be silent for their whole first step.
        """
        for trial_id, out in self._open.items():
            if out is not None and out.starves and trial_id not in running:
                del self._open[trial_id]
                self._without_worker.append(out)
                return trial_id
        return None

    def worker_died(self, trial_id: str, reason: str, *, counts: bool) -> None:
        """Takes back the job of a worker that died: another one goes on with it, unless too many have died over it.

        Args:
            trial_id: id of its trial.
            reason: in Ray's words; empty: none that concerns the job.
            counts: whether it may be the job's doing; a node that was taken away is not.
        """
        out = self._open.pop(trial_id, None)
        if out is None:
            return
        if (exceeded := exceeded_limit(self.idle, out.tracker.job)) is not None:
            self._fail(out, exceeded)
            return
        out.deaths, out.reason, out.silent = out.deaths + counts, reason or out.reason, 0.0
        if out.deaths < self.idle.resources.max_attempts:
            self._without_worker.append(out)
            return
        self._fail(out, f"{out.deaths} workers died while they trained it; the last: {reason}")

    def _fail(self, out: _OpenJob, reason: str) -> None:
        out.evaluation = out.tracker.lost(reason)
        self._untold.append(out)
        self._peek()  # tells it

    def trial_ended(self, trial_id: str) -> None:
        """Removes a trial that is over, idle or stopped.

        Tune may end one of its own accord; its job then goes to another worker, as if this one had died.
        """
        if self._is_ending:
            self._open.pop(trial_id, None)
        else:
            self.worker_died(trial_id, "Ray Tune ended its trial", counts=True)

    def close(self) -> None:
        """Sends the source the evaluations that it could not take earlier, until it does or the work is to stop."""
        if self.fault is None:
            self._guarded(lambda: with_retries(self._settle_late, self.stop), None)

    def _settled(self, out: _OpenJob) -> bool:
        """Passes on the updates of a job; returns whether the job is over."""
        while out.updates and out.evaluation is None:
            paused = out.updates[0].paused
            out.evaluation = out.remarked(out.tracker.receive(out.updates[0]))
            out.updates.popleft()
            if paused and out.evaluation is None:
                return True
        if out.evaluation is None:
            return False
        self.source.tell(out.evaluation)
        self.finished(out.evaluation)
        return True

    def _settle_late(self) -> None:
        while self._untold:
            self._settled(self._untold[0])
            self._untold.popleft()

    def _peek(self) -> Job | Wait | Done:
        """Returns what there is to do; while the database is away that is to wait."""
        otherwise: Job | Wait | Done = WAIT
        answer = self._guarded(self._asked, otherwise)
        return DONE if self.fault is not None else answer

    @property
    def _is_ending(self) -> bool:
        """Whether the work ends early, so that open jobs stay open."""
        return self.fault is not None or self.stop.is_set()

    def _asked(self) -> Job | Wait | Done:
        if self.stop.is_set():
            return DONE
        self._settle_late()
        if self._without_worker:
            return self._without_worker[0].tracker.job
        if self._done:
            return DONE
        if self._ready is None:
            answer = self.source.ask()
            if answer is WAIT:
                check_not_stuck(running=sum(out is not None for out in self._open.values()))
            if not isinstance(answer, Job):
                self._done = answer is DONE
                return answer
            self._ready = answer
        return self._ready

    def _guarded(self, call: Callable[[], Answer], otherwise: Answer) -> Answer:
        try:
            return call()
        except RetryLater:
            return otherwise
        except Exception as error:  # kept and raised by the backend, see `fault`
            self.fault = self.fault or error
            return otherwise


def _tracker(source: JobSource, job: Job, trainable: TrainableRef) -> JobTracker:
    return JobTracker(source, job, trainable.objective, known=trainable.initial_fingerprint(job))
