"""Advances one training step by step. Both backends do it through this, so that they give equal evaluations."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from inspect import GEN_CLOSED, getgeneratorstate
from pathlib import Path
from typing import TypeVar, cast

from hpo.core.code import UNKNOWN
from hpo.core.isolation import Isolation, clear_working_folder, protect_streams, working_folder
from hpo.core.protocols import Resources, TrainableRef
from hpo.core.records import Alert, Job, Report, Stage, Status
from hpo.core.texts import cleaned
from hpo.core.tracker import JobUpdate, Outcome
from hpo.seeds.streams import Streams
from hpo.study.command import LoadedCommand
from hpo.study.trainable import Loaded, load
from hpo.training.checkpoint import has_checkpoint
from hpo.training.command import attempt_mark, left_by, train
from hpo.training.context import Context
from hpo.training.epochs import EpochLoop
from hpo.training.facts import plain_facts
from hpo.training.faults import fault_of, interrupts, prunes
from hpo.training.function_run import FunctionRun
from hpo.training.loops import refuse_unused_folds
from hpo.training.outputs.artifacts import ARTEFACTS, unfit_artefacts
from hpo.training.process import device_for, fingerprint, settle
from hpo.training.progress import Progress
from hpo.training.workdir import work_dir

Answer = TypeVar("Answer")

SHOWN_FILES = 5
"""How many names of files a line of a training's log holds."""

_END = object()  # not None, which a trainable may yield by mistake

PRUNED_ITSELF = "pruned by the trainable itself, by optuna.TrialPruned, and not by the study's pruner"

MOST_SAID = 20
"""Artefacts that are not kept are named one by one up to here."""

MOST_CLOSES = 10
"""How often a generator is asked to end that yields instead."""


class TrainingRun:
    """One job being trained: a generator that is advanced, and closed when nobody wants more of it.

    A function that reports is run as a generator of its reports, so that all forms of a trainable are trained alike.

    A fault of the trainable never raises here, whatever it is: it ends the training with a failed update, and the
    process lives on. All that a trainable says leaves by its updates, as plain values and texts that can be stored.

    Args:
        job: what to train.
        trainable: where the function to train with is.
        resources: cores and graphics cards.
        work: the study's folder, or its URL; the job's own is `job.folder` below it.
        spoiled: what earlier trainings left in this process that could not be put back; said in a remark.

    Raises:
        KeyboardInterrupt: from any method, if Ctrl-C was pressed; one that the trainable itself raises is its fault.
    """

    def __init__(
        self,
        job: Job,
        trainable: TrainableRef,
        resources: Resources,
        work: str | Path,
        *,
        spoiled: Sequence[str] = (),
    ) -> None:
        self._job = job
        self._work_dir, self._place = work_dir(work), job.folder
        self._threads = max(1, resources.cpu)
        self._device = device_for(resources.gpu)
        self._project = Path(trainable.root).absolute()
        folder, fault = self._opened()
        self._progress = Progress(job, trainable.objective, folder, events=resources.events)
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
            params={**trainable.fixed, **job.params},
        )
        self._isolation = Isolation(working_folder(folder), self._project, self._threads, self._settle)
        if spoiled:
            self._progress.remarks.append(f"trained in a process in which others left something: {'; '.join(spoiled)}")
        self._generator: Iterator[object] | None = None
        self._function_run: FunctionRun | None = None
        self._events = resources.events
        self._sent = 0
        self._fault = fault
        self._pruned = False
        self._defaults: dict[str, object] = {}
        self._code = UNKNOWN
        self._refusal: str | None = None
        self._command = trainable.command
        if fault is None:
            self._guarded(lambda: self._begin(job, trainable))

    def advance(self, seconds: float = 0.0) -> JobUpdate:
        """Trains at least one step, then more until `seconds` have passed, and returns what is new."""
        if self._refusal is not None:
            return JobUpdate(refusal=self._refusal)
        end = time.monotonic() + seconds
        try:
            with self._isolation.inside():
                done = bool(self._guarded(lambda: self._advanced(end)))
                if self._loop.left_off:  # what the trainable did on its way out does not count
                    return JobUpdate(reports=self._fresh(), paused=True)
                return self._update(done)
        except OSError as error:  # the trainable's own are caught within
            self._fault = self._fault or f"its working directory cannot be used: {error}"
            return JobUpdate(reports=self._fresh(), status=Status.FAILED, error=self._fault)

    def pause(self) -> JobUpdate:
        """Returns what is new once the training stands between two epochs with its checkpoint written.

        The update says `paused`, or how the training ended if nothing was left of it to do. A training that is not in a
        loop over `ctx.epochs`, and has given `ctx.report` no checkpoint, has nothing that could be saved: it goes on
        from its last checkpoint next time, or begins anew.
        """
        if not self._loop.can_save:
            return JobUpdate(paused=True)
        self._loop.pausing = True
        return self.advance()

    def log(self, line: str) -> None:
        """Adds what the trainable has printed to the training's log, where it keeps one."""
        self._progress.log(line)

    def close(self) -> tuple[str, ...]:
        """Ends the generator where it stands (its `finally` blocks run) and gives the process back as it was.

        The checkpoint stays; whoever knows that the job is over and recorded discards it.

        Returns:
            What of the process could not be put back: nothing else should be trained in it.
        """
        generator, self._generator = self._generator, None
        folder = self._isolation.folder
        existed = folder.is_dir()  # not if the job is over, and its folder was discarded
        try:
            if isinstance(generator, Generator):
                with suppress(OSError), self._isolation.inside():  # OSError: there is no folder to end it in
                    self._end(generator)
            self._guarded(self._progress.close)
        finally:
            spoiled = self._isolation.end() + self._stuck
            if not existed:
                clear_working_folder(folder.parent)
                with suppress(OSError):  # something else is in it, or it is gone
                    folder.parent.rmdir()
            self._work_dir.close(self._place)
        return spoiled

    def _begin(self, job: Job, trainable: TrainableRef) -> None:
        loaded = load(trainable)
        self._code = loaded.code(trainable.root)
        if trainable.code.differs(self._code):
            self._refusal = _other_code(trainable.code.changes(self._code))
            return
        mark = attempt_mark(self._command, job, self._code) if self._command else ""
        resumes = self._command is not None and self._command.resumable and left_by(mark, self._progress.folder)
        if not resumes and not has_checkpoint(self._progress.folder):
            clear_working_folder(self._progress.folder)  # it begins anew, and must not find what its last attempt left
        self._progress.code = self._code.digest
        self._defaults = loaded.defaults({*trainable.fixed, *job.params}, trainable.root)
        self._isolation.begin(trainable.path.partition(":")[0])
        with self._isolation.inside():
            self._progress.begin()
            self._streams.init.seed_global()  # a trainable that forgets to is reproducible all the same
            params = {**trainable.fixed, **job.params}
            if isinstance(loaded, LoadedCommand):
                self._generator = train(loaded.command, params, self._context, mark, self._progress.remark)
            else:
                self._generator = self._started(loaded, params)
        shown = " ".join(f"{name}={value}" for name, value in job.params.items())
        self._progress.log(f"trial {job.trial} seed {job.seed} budget {job.budget} {self._device} {shown}")

    def _started(self, loaded: Loaded, params: Mapping[str, object]) -> Iterator[object]:
        if loaded.is_generator:
            return cast(Iterator[object], loaded.start(params, self._context))
        self._function_run = FunctionRun(lambda: loaded.start(params, self._context))
        self._loop.deliver = self._function_run.report
        return self._function_run.reports()

    def _settle(self, library: str) -> None:
        settle(library, self._threads, self._streams.init.number())

    def _advanced(self, end: float) -> bool:
        """Trains until a moment of the monotonic clock; returns whether the training is complete."""
        while self._fault is None and self._generator is not None:
            try:
                metrics = next(self._generator, _END)
            except BaseException as error:
                if not prunes(error) or self._job.stage is not Stage.SEARCH:
                    raise
                self._pruned = True
                return False
            self._isolation.end_fork()
            if self._loop.left_off:
                return False
            if metrics is _END:
                self._loop.refuse_early_end()
                refuse_unused_folds(self._context.folds, self._progress.fold_was_read)
                if self._function_run is not None:
                    self._progress.conclude(self._function_run.returned)
                return True
            self._loop.refuse_extra_report()
            self._progress.add(metrics)
            if time.monotonic() >= end:
                return False
        return False

    def _end(self, generator: Generator[object, None, None]) -> None:
        """Closes a generator. One that yields instead of ending is asked again, as it would else go on at any time."""
        for _ in range(MOST_CLOSES):
            fault = self._raised(generator.close)
            if fault is not None:  # it comes too late to change the outcome
                self._progress.log(f"while closing: {fault}")
            if getgeneratorstate(generator) == GEN_CLOSED:
                return

    def _opened(self) -> tuple[Path, str | None]:
        try:
            return self._work_dir.open(self._place), None
        except OSError as error:
            return self._work_dir.scratch / self._place, f"the work folder cannot be read: {error}"

    def _update(self, done: bool) -> JobUpdate:
        fresh = self._fresh()
        if not done and self._fault is None and not self._pruned:
            return JobUpdate(reports=fresh)
        outcome = self._guarded(self._outcome)
        return JobUpdate(reports=fresh, status=self._status, error=self._fault, outcome=outcome)

    def _outcome(self) -> Outcome:
        """Ends the training's files and returns what is known of it; what cannot be kept is its fault."""
        progress = self._progress
        if self._command is not None and isinstance(self._generator, Generator):
            self._end(self._generator)  # else its program would be taken for a child process that was left
        self._isolation.look()
        self._log_what_is_deleted()
        if self._pruned and self._fault is None:
            progress.remarks.append(PRUNED_ITSELF)
        progress.log("failed" if self._fault else f"{self._status} in {progress.seconds:.1f} s")
        progress.close(complete=self._fault is None)
        if progress.keeps:
            self._refuse_changed_files()
            for path, why in unfit_artefacts(progress.folder / ARTEFACTS)[:MOST_SAID]:
                progress.remarks.append(f"not kept: {path.relative_to(progress.folder)}: {why}")
        files = self._kept()
        facts = self._guarded(lambda: plain_facts(progress.facts)) or {}
        alerts = self._guarded(self._last_alerts) or ()
        return Outcome(
            seconds=progress.seconds,
            digests={cleaned(str(name)): cleaned(str(digest)) for name, digest in progress.digests.items()},
            fingerprint={
                **fingerprint(self._device, self._threads, facts),
                **({"defaults": self._defaults} if self._defaults else {}),
                **({"code": self._code.plain()} if self._code.digest else {}),
            },
            files=files,
            remarks=tuple(cleaned(str(remark)) for remark in (*progress.remarks, *self._isolation.remarks)),
            last_alerts=tuple(alerts),
        )

    def _refuse_changed_files(self) -> None:
        changed = self._progress.changed_files()
        if changed and self._fault is None:
            self._fault = (
                f"{' and '.join(changed)} in ctx.folder was changed by the trainable after hpo had written it; write "
                "files of your own to ctx.artefacts"
            )

    @property
    def _stuck(self) -> tuple[str, ...]:
        """What of a function is left in the process that would not end."""
        return (
            ("a function that goes on when it is to end",) if self._function_run and self._function_run.is_stuck else ()
        )

    @property
    def _status(self) -> Status:
        """How the training ended."""
        return Status.FAILED if self._fault else Status.PRUNED if self._pruned else Status.COMPLETE

    def _log_what_is_deleted(self) -> None:
        folder = self._isolation.folder
        found = [path for path in folder.rglob("*") if path.is_file()] if self._progress.keeps else []
        if found:
            names = ", ".join(sorted(path.relative_to(folder).as_posix() for path in found)[:SHOWN_FILES])
            more = ", ..." if len(found) > SHOWN_FILES else ""
            self._progress.log(f"the {len(found)} files of its working directory are not kept: {names}{more}")

    def _last_alerts(self) -> tuple[Alert, ...]:
        return self._progress.last_alerts() if self._fault is not None and self._generator is not None else ()

    def _kept(self) -> str | None:
        if not self._progress.keeps and not self._events:
            return None
        try:
            folder = self._work_dir.keep(self._place)
        except OSError as error:
            self._fault = self._fault or f"what it made cannot be kept: {error}"
            return None
        return folder if self._progress.keeps else None

    def _fresh(self) -> tuple[Report, ...]:
        fresh = tuple(self._progress.reports[self._sent :])
        self._sent += len(fresh)
        return fresh

    def _guarded(self, call: Callable[[], Answer]) -> Answer | None:
        """Returns what something of the trainable's returns; None where it raised, which is the training's fault."""
        answer: list[Answer] = []
        fault = self._raised(lambda: answer.append(call()))
        if fault is not None:
            self._fault = self._fault or fault  # the first says why, those after it may only follow from it
        return answer[0] if answer else None

    def _raised(self, call: Callable[[], object]) -> str | None:
        """Calls something of the trainable's and returns what it raised, as a text.

        Raises:
            KeyboardInterrupt: if Ctrl-C was pressed meanwhile, whatever the trainable made of it.
        """
        fault = None
        with interrupts() as ctrl_c, protect_streams():
            try:
                call()
            except BaseException as error:  # whatever user code raises is that job's failure, not the process's
                fault = fault_of(error, self._project)
            self._isolation.end_fork()
        if ctrl_c.pressed:
            raise KeyboardInterrupt
        return fault


def _other_code(changes: str) -> str:
    """Returns why a process cannot train: its files are not those that the driver began with."""
    return (
        f"the code on {platform.node()} is not the driver's ({changes}): its files were edited since the driver "
        "began, or its disk has other ones. Let all machines see the same files, and start again"
    )


def discard_checkpoint(work: str | Path, job: Job) -> None:
    """Deletes the checkpoints of a job that is over and recorded, and the job's folder if nothing else is in it."""
    work_dir(work).discard(job.folder)
