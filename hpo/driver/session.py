"""A study open for work: its records and trials, the right to write them, and what trains its jobs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from pathlib import PurePath

from hpo.backends.running import run_all
from hpo.core.arguments import require_type
from hpo.core.errors import NothingToPromote, StudyChanged, StudyHeld, UsageError
from hpo.core.files import Guard
from hpo.core.protocols import Done, JobSource, Observer, Stop, TrainableRef, Wait
from hpo.core.records import Job
from hpo.core.run_config import RunConfig
from hpo.core.wrappers import FailureLimit, SourceWrapper, tell_phase, with_retries
from hpo.driver.code_changes import check_code
from hpo.driver.cross_validation import FoldedSource
from hpo.driver.options import CommandOptions
from hpo.driver.placing import events_folder, resources, work_folder
from hpo.driver.stop_controller import StopController
from hpo.driver.storage import storage, stored_study
from hpo.driver.tidying import clear_leftovers
from hpo.driver.workers import Workers, make_backend, prepare_new, ready, refuse_unsuitable
from hpo.store import JOB, Lease, Outage, RecordedSource, Store, StoredStudy, masked
from hpo.store.optuna_storage.studies import DurableStudy, OptunaStudies
from hpo.study import Study, Trial
from hpo.study.functions import describe_session, is_of_session
from hpo.study.loading import load_study, refuse_unfit_params
from hpo.study.trainable import load

UID = "hpo:uid"
"""The Optuna study's attribute that ties it to our tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """What a command is run with, whatever it does.

    Attributes:
        config: where the study is kept and run.
        workers: keep the backend running after the command; None: it ends with the command.
        observers: told of every job, intermediate value and evaluation.
        stop: ends the command in order when it is set, here or by `hpo stop`.
    """

    config: RunConfig
    workers: Workers | None
    observers: tuple[Observer, ...]
    stop: StopController

    @classmethod
    def of(
        cls,
        study: Study,
        config: RunConfig | None,
        options: CommandOptions | None = None,
    ) -> RunContext:
        """Returns the context of a command.

        Args:
            study: the study that the command is for.
            config: where the study is kept and run; None: the defaults.
            options: the command's own, and who is told of its work.
        """
        checked, given = given_config(config), options or CommandOptions()
        controller = StopController(given.stop, study.name, given.observers)  # checks both
        return cls(config=checked, workers=given.workers, observers=tuple(given.observers), stop=controller)


class Folds(Enum):
    """How the folds of a job are handed out, where the study is cross-validated."""

    TOGETHER = "all at once"
    IN_ORDER = "one after the other, so that a bad job can be ended after the first"
    CHOSEN = "not at all: each job names the fold that it is for"


class Session:
    """A study that is open in its database; `Session.open` makes one.

    Attributes:
        study: the study as it was given.
        config: where the study is kept and run.
        observers: told of every job, intermediate value and evaluation.
        stop: ends the work in order when it is set.
        store: our tables in the database.
        stored: the study in our tables.
        studies: all of Optuna's studies in the database.
        durable: the study's trials in Optuna's tables; not there where the study is only read.
        trainable: where the trainable is, with its code and defaults.
        lease: the right to write; None until `drive`.
    """

    def __init__(
        self,
        study: Study,
        context: RunContext,
        trainable: TrainableRef,
        store: Store,
        studies: OptunaStudies,
        workers: Workers,
    ) -> None:
        self.study = study
        self.config = context.config
        self.observers = context.observers
        self.stop = context.stop
        self.store = store
        self.studies = studies
        self.trainable = trainable
        self.lease: Lease | None = None
        self.stored: StoredStudy
        self.durable: DurableStudy
        self._workers = workers
        self._prepared = False

    @classmethod
    @contextmanager
    def open(
        cls,
        study: Study,
        context: RunContext,
        *,
        create: bool = False,
        writes: bool = True,
        trains: bool = False,
        accept_code_change: bool = False,
    ) -> Iterator[Session]:
        """Opens a study in its database.

        Args:
            study: the study to open.
            context: what the command is run with.
            create: whether study and database are made if they are missing; otherwise nothing is written.
            writes: whether the study is to be driven; otherwise the database refuses what would write, and trainings
                of other code than there is now are no reason to refuse.
            trains: whether it is to be trained now; if so, backend and data are checked before a new study is written.
            accept_code_change: whether the study goes on although trainings in it are of other code than there is now.

        Raises:
            NothingToPromote: if the study is missing and not to be made; where it is only read, a UsageError.
            StudyChanged: if the stored study of that name means something else.
            CodeChanged: if its trainings are of other code than there is now, and that is not accepted.
            StorageUnavailable: if the database cannot be opened.
            UsageError: if the backend is too small for a training, or the data cannot be used.
        """
        config, observers = context.config, context.observers
        with ExitStack() as stack:
            workers, prepared = context.workers or stack.enter_context(Workers()), False
            if trains:
                refuse_unsuitable(study, config, workers, observers)
                prepared = prepare_new(study, config, observers)
            trainable = trainable_of(study)
            outage = Outage(masked(config.storage), config.storage_wait, partial(tell_phase, observers))
            opened = storage(config.storage, create=create, writes=writes, outage=outage)
            store, studies = stack.enter_context(opened)
            session = cls(study, context, trainable, store, studies, workers)
            session._prepared = prepared
            if writes:
                session._find(create=create, accept_code_change=accept_code_change)
            else:
                session.stored = stored_study(store, study.name)
                store.check_unchanged(study, trainable.defaults)
            yield session

    def _find(self, *, create: bool, accept_code_change: bool) -> None:
        """Finds the study in both kinds of tables, or makes it there."""
        study, store = self.study, self.store
        if store.found in ("optuna", "others"):
            self.tell(f"adding the tables of hpo to {masked(store.url)}, beside those that were there")
        if is_of_session(study.trainable):
            self.tell(describe_session(study.name, study.trainable))
        known, trials = store.find(study.name), self.studies.find(study.name)
        refuse_other_database(study.name, known, store)
        if known is None and not create:
            raise NothingToPromote(
                f"study {study.name!r} has not been searched in {masked(store.url)} yet; "
                f"search first: hpo run --study {study.name}"
            )
        if known is None and trials is not None:
            raise StudyChanged(
                f"an Optuna study named {study.name!r} is in {masked(store.url)} that hpo did not make; "
                "choose another name or another --storage"
            )
        if known is not None and trials is None and store.keys(known):
            raise StudyChanged(
                f"the trials of study {study.name!r} were deleted from Optuna's tables in {masked(store.url)}, "
                f"but records of its trainings are left; remove those too with: hpo delete --study {study.name}"
            )
        defaults = self.trainable.defaults
        store.check_unchanged(study, defaults)
        code = check_code(known, self.trainable.code, store, self.tell, accept=accept_code_change)
        self.stored = store.store_study(study, defaults, code)
        attributes = {UID: self.stored.uid, "hpo:digest": study.digest}
        self.durable = self.studies.open(study.name, study.objective.direction, attributes)

    @contextmanager
    def drive(self, verb: str) -> Iterator[Lease]:
        """Takes the study for this process, which from then on does what `hpo pause` and `hpo stop` ask.

        Args:
            verb: the command, for those who ask who drives the study.

        Raises:
            StudyBusy: if another driver holds it.
            StudyPaused: if it is paused.
        """
        self.lease = lease = self.store.lease(self.stored, verb)
        self.stop.lease = lease
        try:
            with lease.fencing(self.studies.engine):
                clear_leftovers(self.store, self.stored, self.work_folder, self.config.outputs)
                yield lease
        finally:
            lease.release()

    @property
    def work_folder(self) -> str:
        """The study's folder for checkpoints and files of trainings, or its URL."""
        return work_folder(self.stored, self.config)

    @property
    def guard(self) -> Guard:
        """Asked right before each file that others read is written: whether this driver still holds the study."""
        lease = self._driven()
        return lambda: with_retries(lambda: self.store.check_lease(lease), self.stop)

    def tell(self, message: str) -> None:
        """Tells all observers what begins."""
        tell_phase(self.observers, message)

    def begin(self, total: int, done: int = 0) -> None:
        """Tells all observers how many trainings there are to be.

        Args:
            total: number of trainings, at most.
            done: how many of them are over and will not be told again.
        """
        for observer in self.observers:
            observer.begins(total, done)

    def trial(self, number: int) -> Trial:
        """Returns a trial that can be trained again.

        Args:
            number: of the trial, as in Optuna.

        Raises:
            UsageError: if there is no such trial, or it has no params yet.
        """
        name, trial = self.study.name, self.durable.trial(number)
        if trial is None:
            trials = self.durable.trials()
            there = f"trials 0 .. {len(trials) - 1}" if trials else "no trials"
            raise UsageError(f"study {name!r} has {there}, not {number}; see them: hpo status --study {name}")
        if trial.state in {"running", "waiting"}:
            raise UsageError(
                f"trial {number} of study {name!r} is {trial.state}; finish the search first: hpo run --study {name}"
            )
        return trial

    def compose(
        self,
        source: JobSource,
        *,
        folds: Folds = Folds.TOGETHER,
        same: Callable[[int], int | None] | None = None,
    ) -> RecordedSource:
        """Puts around a source what every command has around its own, always in this order.

        From the source outwards: each job becomes one training per fold, where the study has folds; evaluations are
        stored before the source is told of them, and recorded ones are not trained again; the observers are told.

        Args:
            source: hands out the jobs.
            folds: how the folds of a job are handed out.
            same: which other trial has the evaluations of a trial, see `RecordedSource`; None: no other has.
        """
        if self.study.validation is not None and folds is not Folds.CHOSEN:
            source = FoldedSource(source, self.study, at_once=folds is Folds.TOGETHER)
        return RecordedSource(
            source,
            self.store,
            self.stored,
            self._driven(),
            same,
            self.study.objective.metric,
            self.trainable.code,
            self.observers,
        )

    def train(
        self,
        source: JobSource,
        *,
        has_work: bool = False,
        most_at_once: int | None = None,
        max_failures: int | None = None,
        stop: Stop | None = None,
        work: str | None = None,
    ) -> None:
        """Trains a source's jobs; where all are answered from the records no backend is started.

        Args:
            source: hands out the jobs, see `compose`.
            has_work: whether something is known to be left to train; otherwise the first job is asked for before a
                backend is started, and it stays open if the work is stopped meanwhile.
            most_at_once: trainings that may run at a time; None: as many as the backend has room for.
            max_failures: failures in a row that end the work; None: any number may fail.
            stop: ends the work in order when it is set; None: the session's own.
            work: folder for checkpoints and files of trainings, or its URL; None: the study's.

        Raises:
            TooManyFailures: if too many trainings in a row failed.
            BackendError: if the backend gave up.
        """
        study, config, stop = self.study, self.config, stop or self.stop
        if not has_work:
            try:
                first = with_retries(source.ask, stop)
            except StudyHeld:  # stopped while it was paused
                return
            if not isinstance(first, Job):
                return
            source = _AskedBefore(first, source)
        if work is None and (folder := events_folder(self.stored, config)) is not None:
            self.tell(f"writing event files to {folder}")
        slots = ready(study, config, self._workers, self.observers, prepared=self._prepared)
        self._prepared = True
        used = min(slots, most_at_once or slots)
        if used < slots and used == study.lag:  # one more worker would only ever wait
            self.tell(f"lag = {used} lets {used} of {slots} trainings run at a time")
        backend = make_backend(work or self.work_folder, config, used)
        limited = source if max_failures is None else FailureLimit(source, max_failures)
        run_all(backend, limited, self.trainable, resources(study, config), stop, self.observers)

    def _driven(self) -> Lease:
        assert self.lease is not None  # only a study that is driven is written
        return self.lease


class _AskedBefore(SourceWrapper):
    """A source whose first job was asked for already."""

    def __init__(self, first: Job, source: JobSource) -> None:
        super().__init__(source)
        self._first: Job | None = first

    def ask(self) -> Job | Wait | Done:
        first, self._first = self._first, None
        return super().ask() if first is None else first


def resolved(study: Study | str, *, to_train: bool = True) -> Study:
    """Returns the study itself, or the one of that name.

    Args:
        study: itself, or its name.
        to_train: as in `load_study`.

    Raises:
        StudyNotFound: if there is no such study.
        StudyInvalid: if its file has problems.
    """
    if isinstance(study, str | PurePath):
        return load_study(str(study), to_train=to_train)
    require_type("study", study, Study, "a Study or the name of one")
    if to_train:
        refuse_unfit_params(study)
    return study


def name_of(study: Study | str) -> str:
    """Returns the name of a stored study.

    Args:
        study: the study itself, or its name.

    Raises:
        UsageError: if it is something else.
    """
    require_type("study", study, (Study, str), "a Study or the name of one")
    return study if isinstance(study, str) else study.name


def given_config(config: RunConfig | None) -> RunConfig:
    """Returns the RunConfig that was given, or the default one.

    Raises:
        UsageError: if it is something else.
    """
    require_type(
        "config", config, (RunConfig, type(None)), "an hpo.RunConfig, e.g. hpo.RunConfig(storage='sqlite:///hpo.db')"
    )
    return config or RunConfig()


def trainable_of(study: Study) -> TrainableRef:
    """Returns where the study's trainable is, with its code and the defaults of its params as this process sees them.

    Raises:
        UsageError: if the trainable cannot be imported.
    """
    loaded, always = load(study.ref), {name for name, dimension in study.space.items() if not dimension.when}
    defaults = loaded.defaults({*study.fixed, *always}, study.root)
    return replace(study.ref, code=loaded.code(study.root), defaults=defaults)


def refuse_other_database(name: str, known: StoredStudy | None, store: Store) -> None:
    """Raises, before anything is written, where this process is a job that was submitted for another database.

    Raises:
        UsageError: if it is so.
    """
    job = os.environ.get(JOB)
    if job is not None and (known is None or known.job != job):
        raise UsageError(
            f"job {job} was submitted for study {name!r} in another database than {masked(store.url)}, which is what "
            "HPO_STORAGE, or the file that HPO_STORAGE_FILE names, is in the cluster's environment. Let both name one."
        )
