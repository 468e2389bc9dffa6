"""Runs jobs one at a time in this process, so that a debugger and plain tracebacks work."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path

from hpo.backends.grace import Pace, Watch, can_interrupt
from hpo.backends.limits import Usage
from hpo.backends.prints import WorkerPrints
from hpo.core.errors import RetryLater, UsageError
from hpo.core.files import is_file, remove
from hpo.core.protocols import DONE, WAIT, JobSource, Resources, Stop, TrainableRef
from hpo.core.records import Evaluation, Job
from hpo.core.texts import cleaned
from hpo.core.tracker import JobTracker
from hpo.core.wrappers import check_not_stuck, with_retries
from hpo.training import TrainingRun, discard_checkpoint, work_dir

ATTEMPTS = "attempts"
"""File in a job's folder during its training: how many processes started it and made no progress."""


EXCEEDED = "exceeded a limit: "
"""Begins the content of that file where the training exceeded a limit and was ended with its process."""


class LocalBackend:
    """Runs jobs in this process.

    Args:
        work: the study's folder or URL for checkpoints and artifacts.
    """

    def __init__(self, work: str | Path) -> None:
        self._work = work
        self._scratch = work_dir(work).scratch
        self._unrestored: tuple[str, ...] = ()
        self._prints = WorkerPrints()
        self.overdue: tuple[Job, ...] = ()

    def run(self, source: JobSource, trainable: TrainableRef, resources: Resources, stop: Stop) -> None:
        """Runs one job at a time until the source is done or `stop` is set.

        A stopped job finishes its epoch and stays open: the source gets no evaluation, and the next run resumes it from
        its checkpoint. A job that does not finish its epoch in time is interrupted, and stays open too. A job that
        exceeds a limit is interrupted and fails.

        Raises:
            UsageError: if there are limits, and no training can be interrupted here.
        """
        self.overdue = ()
        self._prints = WorkerPrints()
        if resources.limited and not can_interrupt():
            raise UsageError(
                "[resources] time and memory need a training that can be interrupted: in this process only the main "
                "thread can; call hpo there, or train in processes of their own: concurrency=1 (--concurrency 1)"
            )
        try:
            while not stop.is_set() and (answer := with_retries(source.ask, stop)) is not DONE:
                if answer is WAIT:
                    check_not_stuck(running=0)
                    continue
                evaluation = self._train(answer, source, trainable, resources, stop)
                if evaluation is None:
                    return
                with_retries(partial(source.tell, evaluation), stop)
                discard_checkpoint(self._work, answer)
        except RetryLater:
            return  # stopped while the database was away: the next run resumes the job from its checkpoint

    def _train(
        self, job: Job, source: JobSource, trainable: TrainableRef, resources: Resources, stop: Stop
    ) -> Evaluation | None:
        tracker = JobTracker(source, job, trainable.objective, known=trainable.initial_fingerprint(job))
        attempts, pace = _Attempts(self._scratch / job.folder), Pace()
        if attempts.exceeded is not None or attempts.deaths >= resources.max_attempts:
            attempts.end()
            died = f"{attempts.deaths} processes died while they trained it, all in the same epoch"
            return tracker.lost(attempts.exceeded or died)
        usage = Usage(resources)
        grace = partial(pace.grace, resources.stop_wait)
        with Watch(job, stop, grace, usage, attempts.note_exceeded).watching() as watch:
            attempts.begin()
            try:
                with watch.inside(), self._prints.captured():
                    training = TrainingRun(job, trainable, resources, self._work, unrestored=self._unrestored)
                return self._run_job(training, tracker, attempts, stop, pace, watch)
            except KeyboardInterrupt:
                if not watch.overdue:
                    raise
                if watch.exceeded is None:
                    self.overdue = (job,)
                    return None
                attempts.end()
                return tracker.lost(watch.exceeded)

    def _run_job(
        self,
        training: TrainingRun,
        tracker: JobTracker,
        attempts: _Attempts,
        stop: Stop,
        pace: Pace,
        watch: Watch,
    ) -> Evaluation | None:
        left: tuple[str, ...] = ("something: it was interrupted while it ended",)
        self._prints.log = training.log
        try:
            while True:
                stopping = stop.is_set()
                with watch.inside(), self._prints.captured():
                    update = training.pause() if stopping else training.advance()
                pace.reported()
                attempts.progress()
                evaluation = with_retries(partial(tracker.receive, update), stop)
                if evaluation is not None or update.paused:
                    return evaluation
        finally:
            try:
                with watch.inside(), self._prints.captured():
                    left = training.close()  # this is also how a pruned training is stopped
            finally:
                self._prints.log = None
                self._prints.taken()  # it has been printed here already
                self._unrestored += tuple(f"trial {tracker.job.trial} left {what}" for what in left)
            attempts.end()


class _Attempts:
    """Counts the processes that died while they trained a job, since it last completed an epoch.

    The training runs in the driver, so one that crashes its process would crash every driver that resumes it.

    Args:
        folder: the job's own folder on this machine.

    Attributes:
        deaths: number of processes that died.
        exceeded: the reason of a training that exceeded a limit and was ended with its process; None: there was none.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / ATTEMPTS
        self.deaths = 0
        self.exceeded: str | None = None
        if is_file(self._file):  # not a folder or a pipe that the trainable made
            with suppress(OSError):
                text = self._file.read_text(errors="replace")
                self.deaths = int(text) if text.isdecimal() and len(text) < 10 else 0
                self.exceeded = cleaned(text.removeprefix(EXCEEDED)) if text.startswith(EXCEEDED) else None

    def begin(self) -> None:
        """Counts this process in advance, because it cannot count its own death.

        Without a count, e.g. on a full disk, the job is trained nevertheless.
        """
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            if not is_file(self._file):
                remove(self._file)
            self._file.write_text(str(self.deaths + 1))

    def note_exceeded(self, reason: str) -> None:
        """Stores why the job is to fail, as this process is ended.

        Args:
            reason: says which limit the training exceeded.
        """
        with suppress(OSError):
            self._file.write_text(EXCEEDED + reason)

    def progress(self) -> None:
        """Resets the count of dead processes: the training got past the epoch in which they died."""
        if self.deaths:
            self.deaths = 0
            self.begin()

    def end(self) -> None:
        """Removes the count: the training ended normally, or another process resumes it."""
        remove(self._file)
