"""The run of one training, advanced step by step. Both backends use it, so that they give equal evaluations."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from inspect import GEN_CLOSED, getgeneratorstate
from pathlib import Path
from typing import TypeVar, cast

from hpo.core.code import UNKNOWN
from hpo.core.errors import TrainableError
from hpo.core.isolation import TUNE, Isolation, clear_working_folder, protect_streams, working_folder
from hpo.core.protocols import Resources, TrainableRef
from hpo.core.records import TEST_PART, Alert, Job, Report, Stage, Status
from hpo.core.texts import cleaned
from hpo.core.tracker import JobUpdate, Outcome
from hpo.seeds.current import running
from hpo.seeds.streams import Streams
from hpo.stats.classification import classification_scores
from hpo.study.command import LoadedCommand
from hpo.study.trainable import Loaded, load
from hpo.training.checkpoint import has_checkpoint
from hpo.training.claim import Claim
from hpo.training.command import attempt_digest, train, was_left_by
from hpo.training.context import Context
from hpo.training.epochs import EpochLoop
from hpo.training.facts import plain_facts
from hpo.training.failures import failure_text, is_trial_pruned, watch_for_ctrl_c
from hpo.training.function_run import FunctionRun
from hpo.training.loop_checks import check_fold_read, check_holds_out, check_tested, check_units
from hpo.training.outputs.artifacts import ARTIFACTS, unusable_artifacts
from hpo.training.process import configure_library, device_for, fingerprint
from hpo.training.progress import Progress
from hpo.training.tune import TuneSession
from hpo.training.units import unit_scores
from hpo.training.workdir import work_dir

Result = TypeVar("Result")

MAX_LISTED_FILES = 5
"""Maximum number of file names in a line of a training's log."""

_END = object()  # not None, which a trainable may yield by mistake

PRUNED_ITSELF = "pruned by the trainable itself with optuna.TrialPruned, not by the study's pruner"

MAX_REMARKS = 20
"""Maximum number of artifacts that get a remark because they are not kept."""

MAX_CLOSES = 10
"""How often a generator that yields when it is closed is closed again."""


class TrainingRun:
    """The training of one job: a generator that is advanced step by step, and closed at the end.

    A reporting function is run as a generator of its reports, so that all forms of a trainable are trained alike.

    An error in the trainable never raises here: it ends the training with a failed update, and the process goes on. All
    values and messages of a trainable are returned in updates, as plain values that can be stored.

    Args:
        job: job to train.
        trainable: reference to the trainable.
        resources: cores, GPUs and limits of the training.
        work: path or URL of the study's folder; the job's own is `job.folder` below it.
        unrestored: changes by earlier trainings in this process that could not be undone; they become a remark.

    Raises:
        KeyboardInterrupt: from any method, if Ctrl-C was pressed; if the trainable raises it, the training fails.
    """

    def __init__(
        self,
        job: Job,
        trainable: TrainableRef,
        resources: Resources,
        work: str | Path,
        *,
        unrestored: Sequence[str] = (),
    ) -> None:
        self._job = job
        self._work_dir, self._job_folder = work_dir(work), job.folder
        self._tested = replace(job, stage=Stage.PROMOTION).folder
        self._threads = max(1, resources.cpu)
        self._device = device_for(resources.gpu)
        self._project = Path(trainable.root).absolute()
        self._claim = Claim(self._work_dir.scratch, job.digest)
        is_alone = self._claim.take()
        folder, error = self._open_folder()
        log = self._work_dir.log_file(job.folder)
        self._progress = Progress(
            job, trainable.objective, folder, events=resources.events, keep=resources.keep, log=log
        )
        self._streams = Streams(job.seed, job.stream_seeds)
        self._loop = EpochLoop(self._progress, self._streams, self._device, lambda: self._work_dir.save(job.folder))
        self._context = Context(
            self._progress,
            self._loop,
            self._streams,
            project=self._project,
            cache=self._work_dir.cache,
            device=self._device,
            threads=self._threads,
            folds=trainable.folds if job.fold else 0,
            holdout=trainable.holdout,
            units=trainable.units,
            params={**trainable.fixed, **job.params},
        )
        self._tune = TuneSession(self._context, self._progress.remark)
        self._isolation = Isolation(working_folder(folder), self._project, self._threads, self._configure_library)
        if unrestored:
            self._progress.remarks.append(
                f"trained in a process that earlier trainings left changed: {'; '.join(unrestored)}"
            )
        if not is_alone:
            self._progress.remarks.append("another process still trained the same; files in its folder may be mixed")
        self._generator: Iterator[object] | None = None
        self._function_run: FunctionRun | None = None
        self._events = resources.events
        self._sent = 0
        self._error = error
        self._pruned = False
        self._defaults: dict[str, object] = {}
        self._code = UNKNOWN
        self._refusal: str | None = None
        self._holds_out, self._units = trainable.holdout is not None, trainable.units
        self._command = trainable.command
        if error is None:
            self._call(lambda: self._begin(job, trainable))

    def advance(self, seconds: float = 0.0) -> JobUpdate:
        """Trains at least one step, then more until `seconds` have passed, and returns the new reports."""
        if self._refusal is not None:
            return JobUpdate(refusal=self._refusal)
        end = time.monotonic() + seconds
        try:
            with self._isolation.inside():
                done = bool(self._call(lambda: self._train_until(end)))
                if self._loop.has_paused:  # errors of the trainable while it ends do not count
                    return JobUpdate(reports=self._new_reports(), paused=True)
                return self._update(done)
        except OSError as error:  # the trainable's own errors are caught inside
            self._error = self._error or f"its working directory cannot be used: {error}"
            return JobUpdate(reports=self._new_reports(), status=Status.FAILED, error=self._error)

    def pause(self) -> JobUpdate:
        """Ends the training after its next checkpoint and returns the new reports.

        The update is `paused`, or has the outcome if the training is complete. A training outside a loop over
        `ctx.epochs` that reports no checkpoint has no state to save: it later resumes from its last checkpoint, or
        starts over.
        """
        if not self._loop.can_save:
            return JobUpdate(paused=True)
        self._loop.should_pause = True
        return self.advance()

    def log(self, line: str) -> None:
        """Adds a line that the trainable printed to the training's log."""
        self._progress.log(line)

    def close(self) -> tuple[str, ...]:
        """Ends the generator at its current step (its `finally` blocks run) and restores the process.

        The checkpoint stays; the caller discards it once the job is recorded.

        Returns:
            Changes of the process that could not be undone; if there are any, train nothing else in it.
        """
        generator, self._generator = self._generator, None
        folder = self._isolation.folder
        existed = folder.is_dir()  # not if the job is over, and its folder was discarded
        try:
            if isinstance(generator, Generator):
                with suppress(OSError), self._isolation.inside():  # OSError: there is no folder to end it in
                    self._end(generator)
            self._call(self._progress.close)
        finally:
            unrestored = self._isolation.end() + self._stuck
            if not existed:
                clear_working_folder(folder.parent)
                with suppress(OSError):  # it is not empty, or it is gone
                    folder.parent.rmdir()
            with suppress(OSError):  # too late for a remark
                self._work_dir.keep_log(self._job_folder)
            self._work_dir.close(self._job_folder)
            if self._progress.is_test:
                self._work_dir.close(self._tested)
            self._claim.release()
        return unrestored

    def _begin(self, job: Job, trainable: TrainableRef) -> None:
        loaded = load(trainable)
        self._code = loaded.code(trainable.root)
        if self._progress.is_test:
            self._loop.tested = self._work_dir.open(self._tested)
        if trainable.code.differs(self._code):
            self._refusal = _code_differs(trainable.code.changes(self._code))
            return
        attempt = attempt_digest(self._command, job, self._code) if self._command else ""
        resumes = self._command is not None and self._command.resumable and was_left_by(attempt, self._progress.folder)
        if not resumes and not has_checkpoint(self._progress.folder):
            clear_working_folder(self._progress.folder)  # it starts over, without the files of the last attempt
        self._progress.code = self._code.digest
        self._defaults = loaded.defaults({*trainable.fixed, *job.params}, trainable.root)
        self._isolation.begin(trainable.path.partition(":")[0])
        with self._isolation.inside():
            self._progress.begin()
            self._streams.init.seed_global()  # makes a trainable reproducible that seeds nothing itself
            params = {**trainable.fixed, **job.params}
            if isinstance(loaded, LoadedCommand):
                self._generator = train(loaded.command, params, self._context, attempt, self._progress.remark)
            else:
                self._generator = self._start(loaded, params)
        shown = " ".join(f"{name}={value}" for name, value in job.params.items())
        self._progress.log(f"trial {job.trial} seed {job.seed} budget {job.budget} {self._device} {shown}")

    def _start(self, loaded: Loaded, params: Mapping[str, object]) -> Iterator[object]:
        if loaded.is_generator:
            return cast(Iterator[object], loaded.start(params, self._context))
        self._function_run = FunctionRun(lambda: loaded.start(params, self._context))
        self._loop.deliver = self._function_run.report
        return self._function_run.reports()

    def _configure_library(self, library: str) -> None:
        if library == TUNE:
            self._tune.install()
        configure_library(library, self._threads, self._streams.init.number())

    def _train_until(self, end: float) -> bool:
        """Trains until a time of the monotonic clock; returns whether the training is complete."""
        while self._error is None and self._generator is not None:
            try:
                with running(self._job.seed), self._tune.inside():
                    metrics = next(self._generator, _END)
            except BaseException as error:
                if not is_trial_pruned(error) or self._job.stage is not Stage.SEARCH:
                    raise
                self._pruned = True
                return False
            self._isolation.end_fork()
            if self._loop.has_paused:
                return False
            if metrics is _END:
                self._loop.check_loop_finished()
                check_fold_read(self._context.folds, self._progress.fold_was_read)
                if self._progress.is_test:
                    self._conclude_test()
                    return True
                if self._function_run is not None:
                    self._progress.conclude(self._function_run.returned)
                if self._holds_out:
                    check_holds_out(self._progress.division is not None, self._progress.digests)
                check_units(self._units, self._progress.digests)
                return True
            if self._progress.is_test:
                raise TrainableError("metrics were reported outside ctx.epochs(); a test part has no epochs")
            self._loop.check_report_allowed()
            self._progress.add(metrics)
            if time.monotonic() >= end:
                return False
        return False

    def _conclude_test(self) -> None:
        """Reports the metrics of the predictions for the test part."""
        predictions, division = self._progress.predictions, self._progress.division
        check_tested(predictions, division)
        assert predictions is not None  # checked
        scores = classification_scores(predictions.truth, predictions.probabilities)
        self._progress.add({**scores, **unit_scores(predictions)})

    def _end(self, generator: Generator[object, None, None]) -> None:
        """Closes a generator, repeatedly if it yields instead: garbage collection could resume it at any moment."""
        for _ in range(MAX_CLOSES):
            with self._tune.inside():  # its `finally` blocks may report, too
                error = self._call_user_code(generator.close)
            if error is not None:  # too late to change the outcome
                self._progress.log(f"while closing: {error}")
            if getgeneratorstate(generator) == GEN_CLOSED:
                return

    def _open_folder(self) -> tuple[Path, str | None]:
        try:
            return self._work_dir.open(self._job_folder), None
        except OSError as error:
            return self._work_dir.scratch / self._job_folder, f"the work folder cannot be read: {error}"

    def _update(self, done: bool) -> JobUpdate:
        reports = self._new_reports()
        if not done and self._error is None and not self._pruned:
            return JobUpdate(reports=reports)
        outcome = self._call(self._outcome)
        return JobUpdate(reports=reports, status=self._status, error=self._error, outcome=outcome)

    def _outcome(self) -> Outcome:
        """Closes the training's files and returns its outcome; if files cannot be saved, the training fails."""
        progress = self._progress
        if self._command is not None and isinstance(self._generator, Generator):
            self._end(self._generator)  # else its program would count as a leftover child process
        self._isolation.look()
        self._log_deleted_files()
        if self._pruned and self._error is None:
            progress.remarks.append(PRUNED_ITSELF)
        progress.log("failed" if self._error else f"{self._status} in {progress.seconds:.1f} s")
        progress.close(complete=self._error is None)
        if progress.keeps:
            self._check_files_unchanged()
            for path, why in unusable_artifacts(progress.folder / ARTIFACTS)[:MAX_REMARKS]:
                progress.remarks.append(f"not kept: {path.relative_to(progress.folder)}: {why}")
        files = self._keep_files()
        facts = self._call(lambda: plain_facts(progress.facts)) or {}
        alerts = self._call(self._last_alerts) or ()
        return Outcome(
            seconds=progress.seconds,
            digests={cleaned(str(name)): cleaned(str(digest)) for name, digest in progress.digests.items()},
            fingerprint={
                **fingerprint(self._device, self._threads, facts),
                **({"defaults": self._defaults} if self._defaults else {}),
                **({"code": self._code.plain()} if self._code.digest else {}),
                **({TEST_PART: self._progress.division.facts()} if self._holds_out and self._progress.division else {}),
            },
            files=files,
            remarks=tuple(cleaned(str(remark)) for remark in (*progress.remarks, *self._isolation.remarks)),
            last_alerts=tuple(alerts),
        )

    def _check_files_unchanged(self) -> None:
        changed = self._progress.changed_files()
        if changed and self._error is None:
            self._error = (
                f"{' and '.join(changed)} in ctx.folder was changed by the trainable after hpo had written it; write "
                "files of your own to ctx.artifacts"
            )

    @property
    def _stuck(self) -> tuple[str, ...]:
        """A remark if the function did not end, so that it stays in this process."""
        return ("a function that did not end",) if self._function_run and self._function_run.is_stuck else ()

    @property
    def _status(self) -> Status:
        """How the training ended."""
        return Status.FAILED if self._error else Status.PRUNED if self._pruned else Status.COMPLETE

    def _log_deleted_files(self) -> None:
        folder = self._isolation.folder
        found = [path for path in folder.rglob("*") if path.is_file()] if self._progress.keeps else []
        if found:
            names = ", ".join(sorted(path.relative_to(folder).as_posix() for path in found)[:MAX_LISTED_FILES])
            more = ", ..." if len(found) > MAX_LISTED_FILES else ""
            self._progress.log(f"the {len(found)} files of its working directory are not kept: {names}{more}")

    def _last_alerts(self) -> tuple[Alert, ...]:
        return self._progress.last_alerts() if self._error is not None and self._generator is not None else ()

    def _keep_files(self) -> str | None:
        if not self._progress.keeps and not self._events and not self._progress.is_test:
            return None
        try:
            folder = self._work_dir.keep(self._job_folder)
        except OSError as error:
            self._error = self._error or f"its files cannot be saved: {error}"
            return None
        return folder if self._progress.keeps or self._progress.is_test else None

    def _new_reports(self) -> tuple[Report, ...]:
        reports = tuple(self._progress.reports[self._sent :])
        self._sent += len(reports)
        return reports

    def _call(self, function: Callable[[], Result]) -> Result | None:
        """Returns the result of a function that runs user code; None if it raises, which fails the training."""
        results: list[Result] = []
        error = self._call_user_code(lambda: results.append(function()))
        if error is not None:
            self._error = self._error or error  # later errors may only be consequences of the first
        return results[0] if results else None

    def _call_user_code(self, function: Callable[[], object]) -> str | None:
        """Calls a function that runs user code and returns the text of the exception it raised, None without one.

        Raises:
            KeyboardInterrupt: if Ctrl-C was pressed meanwhile, even if the trainable handled it.
        """
        text = None
        with watch_for_ctrl_c() as ctrl_c, protect_streams():
            try:
                function()
            except BaseException as error:  # any exception of user code fails its job, not the process
                text = failure_text(error, self._project)
            self._isolation.end_fork()
        if ctrl_c.pressed:
            raise KeyboardInterrupt
        return text


def _code_differs(changes: str) -> str:
    """Returns the message that this process cannot train because its files differ from the driver's."""
    return (
        f"the code on {platform.node()} differs from the driver's ({changes}): its files were edited after the driver "
        "started, or its disk has other ones. Let all machines see the same files, and start again"
    )


def discard_checkpoint(work: str | Path, job: Job) -> None:
    """Deletes the checkpoints of a recorded job, and the job's folder if nothing else is in it."""
    work_dir(work).discard(job.folder)
