"""A session: a study opened in its database, with its trials and records, the driver's lease and the backend."""

from __future__ import annotations

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
from hpo.core.protocols import JobSource, Observer, Stop, TrainableRef
from hpo.core.records import Job, Objective
from hpo.core.run_config import RunConfig
from hpo.core.wrappers import FailureLimit, WithFirstJob, tell_phase, with_retries
from hpo.driver.code_changes import check_code
from hpo.driver.costs import Costs, amounts
from hpo.driver.cross_validation import FoldedSource
from hpo.driver.leftovers import clear_leftovers
from hpo.driver.options import CommandOptions, LimitedOptions, LoggedOptions
from hpo.driver.progress_bar import progress_bars
from hpo.driver.resources import events_folder, resources, work_folder
from hpo.driver.running import RunningTrainings
from hpo.driver.stop_controller import StopController
from hpo.driver.storage import check_same_database, storage, stored_study
from hpo.driver.workers import Workers, check_backend_fits, make_backend, prepare_if_new, start_backend
from hpo.integrations.tools import tool_observers
from hpo.store import Lease, Outage, RecordedSource, Store, StoredStudy, masked
from hpo.store.optuna_storage.studies import DurableStudy, OptunaStudies
from hpo.study import Study, Trial
from hpo.study.functions import describe_session, is_of_session
from hpo.study.loading import check_space, load_study
from hpo.study.trainable import load

UID = "hpo:uid"
"""The Optuna study's attribute that ties it to our tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """What every command on a study is run with.

    Attributes:
        config: where the study is kept and run.
        workers: keep the backend running after the command; None: it ends with the command.
        observers: told of every job, intermediate value and evaluation.
        stop: ends the command in order when it is set, here or by `hpo stop`.
        limits: what the trainings may cost; None: there are no limits.
    """

    config: RunConfig
    workers: Workers | None
    observers: tuple[Observer, ...]
    stop: StopController
    limits: LimitedOptions | None = None

    @classmethod
    def of(cls, study: Study, config: RunConfig | None, options: CommandOptions | None = None) -> RunContext:
        """Returns the context of a command.

        Args:
            study: the study that the command is for.
            config: where the study is kept and run; None: the defaults.
            options: options of the command, with its observers; None: the defaults.
        """
        checked, given = checked_config(config), options or CommandOptions()
        controller = StopController(given.stop, study.name, given.observers)  # checks both
        tools = tool_observers(given.log_to, study.name) if isinstance(given, LoggedOptions) else ()
        observers = (*given.observers, *progress_bars(study, given), *tools)
        limits = given if isinstance(given, LimitedOptions) else None
        if limits is not None:
            amounts(study, resources(study, checked), limits)  # raises before anything is opened
        return cls(config=checked, workers=given.workers, observers=observers, stop=controller, limits=limits)


class Folds(Enum):
    """How the folds of a job are handed out, where the study is cross-validated."""

    TOGETHER = "all at once"
    IN_ORDER = "one after the other, so that a bad job can be pruned after the first"
    CHOSEN = "not at all: each job names its fold"


class Session:
    """A study that is open in its database; `Session.open` makes one.

    Attributes:
        study: the study as it was given.
        config: where the study is kept and run.
        observers: told of every job, intermediate value and evaluation.
        stop: ends the work in order when it is set.
        costs: what the trainings use; as a `Stop` it also ends the work at the limits of the command.
        store: our tables in the database.
        stored: the study in our tables.
        studies: all of Optuna's studies in the database.
        durable: the study's trials in Optuna's tables; not set if the study is only read.
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
        self.costs = Costs(study, resources(study, context.config), context.limits, context.stop)
        self.store = store
        self.studies = studies
        self.trainable = trainable
        self.lease: Lease | None = None
        self._running = RunningTrainings()
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
            create: whether to create the study and the database if they are missing.
            writes: whether the study is to be driven; otherwise the database refuses writes, and a change of the
                code is allowed.
            trains: whether it is to be trained now; if so, backend and data are checked before a new study is stored.
            accept_code_change: whether to continue although the code has changed since earlier trainings.

        Raises:
            NothingToPromote: if the study is missing and `create` is False; a UsageError if it is only read.
            StudyChanged: if the stored study of that name differs in what its trials mean.
            CodeChanged: if its trainings used other code, and that is not accepted.
            StorageUnavailable: if the database cannot be opened.
            UsageError: if the backend is too small for a training, or the data cannot be used.
        """
        config, observers = context.config, context.observers
        with ExitStack() as stack:
            for observer in observers:
                stack.callback(observer.ended)
            workers, prepared = context.workers or stack.enter_context(Workers()), False
            if trains:
                check_backend_fits(study, config, workers, observers)
                workers.begin(study, config)
                prepared = prepare_if_new(study, config, observers)
            trainable = located_trainable(study)
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
        """Finds the study in our tables and Optuna's, or creates it there."""
        study, store = self.study, self.store
        if store.found in ("optuna", "others"):
            self.tell(f"adding hpo's tables to {masked(store.url)}, beside the existing ones")
        if is_of_session(study.trainable):
            self.tell(describe_session(study.name, study.trainable))
        known, trials = store.find(study.name), self.studies.find(study.name)
        check_same_database(study.name, known, store)
        if known is None and not create:
            raise NothingToPromote(
                f"study {study.name!r} has not been searched in {masked(store.url)} yet; "
                f"search first: hpo run --study {study.name}"
            )
        if known is None and trials is not None:
            raise StudyChanged(
                f"{masked(store.url)} has an Optuna study named {study.name!r} that hpo did not create; "
                "choose another name or another --storage"
            )
        if known is not None and trials is None and store.keys(known):
            raise StudyChanged(
                f"the trials of study {study.name!r} were deleted from Optuna's tables in {masked(store.url)}, "
                f"but records of its trainings remain; remove them too with: hpo delete --study {study.name}"
            )
        defaults = self.trainable.defaults
        store.check_unchanged(study, defaults)
        code = check_code(known, self.trainable.code, store, self.tell, accept=accept_code_change)
        self.stored = store.store_study(study, defaults, code)
        attributes = {UID: self.stored.uid, "hpo:digest": study.digest}
        self.durable = self.studies.open(study.name, study.objective, attributes)

    @contextmanager
    def drive(self, verb: str) -> Iterator[Lease]:
        """Makes this process the study's driver, which obeys `hpo pause` and `hpo stop`.

        Args:
            verb: name of the command, shown to whoever asks what drives the study.

        Raises:
            StudyBusy: if another driver holds it.
            StudyPaused: if it is paused.
        """
        self.lease = lease = self.store.lease(self.stored, verb)
        self.stop.lease = lease
        lease.running = self._running.now
        try:
            with lease.fencing(self.studies.engine):
                clear_leftovers(self.store, self.stored, self.work_folder, self.config.outputs)
                for message in self.costs.begin(self.store, self.stored, lease):
                    self.tell(message)
                for observer in self.observers:
                    observer.opened(lambda: self.store.evaluations(self.stored))
                yield lease
        finally:
            lease.release()

    @property
    def work_folder(self) -> str:
        """The study's folder for checkpoints and files of trainings, or its URL."""
        return work_folder(self.stored, self.config)

    @property
    def guard(self) -> Guard:
        """Function to call right before a file that others read is written: checks that this driver has the lease."""
        lease = self._held_lease()
        return lambda: with_retries(lambda: self.store.check_lease(lease), self.stop)

    def tell(self, message: str) -> None:
        """Tells all observers which phase begins."""
        tell_phase(self.observers, message)

    def begin(self, total: int, done: int = 0) -> None:
        """Tells all observers how many trainings are planned.

        Args:
            total: largest number of trainings.
            done: number of them that have ended already and are not reported again.
        """
        for observer in self.observers:
            observer.begins(total, done)

    def trial(self, number: int) -> Trial:
        """Returns a finished trial, which can be trained again.

        Args:
            number: number of the trial, as in Optuna.

        Raises:
            UsageError: if there is no such trial, or it is not finished.
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
        """Wraps a source in the wrappers that every command needs, always in this order.

        From the inside out: each job becomes one training per fold, if the study has folds; evaluations are stored
        before the source is told of them, and recorded ones are not trained again; the observers are told.

        Args:
            source: hands out the jobs.
            folds: how the folds of a job are handed out.
            same: maps a trial to an identical earlier trial, see `RecordedSource`; None: there are none.
        """
        if self.study.validation is not None and folds is not Folds.CHOSEN:
            source = FoldedSource(source, self.study, at_once=folds is Folds.TOGETHER)
        return RecordedSource(
            source,
            self.store,
            self.stored,
            self._held_lease(),
            same,
            self.study.objective.metric,
            self.trainable.code,
            (*self.observers, self._running, self.costs),
            self.costs,
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
        objective: Objective | None = None,
    ) -> None:
        """Trains a source's jobs; no backend is started if all of them are answered from the records.

        Args:
            source: hands out the jobs, see `compose`.
            has_work: whether something is known to be left to train; otherwise the first job is asked for before a
                backend is started, and stays open if the work is stopped meanwhile.
            most_at_once: largest number of trainings at a time; None: as many as the backend has slots.
            max_failures: number of failures in a row that end the work; None: no limit.
            stop: ends the work in order when it is set; None: the session's `costs`.
            work: folder for checkpoints and files of trainings, or its URL; None: the study's.
            objective: the objective of these jobs; None: the study's.

        Raises:
            TooManyFailures: if too many trainings in a row failed.
            BackendError: if the backend gave up.
        """
        study, config, stop = self.study, self.config, stop or self.costs
        if not has_work:
            try:
                first = with_retries(source.ask, stop)
            except StudyHeld:  # stopped while it was paused
                return
            if not isinstance(first, Job):
                return
            source = WithFirstJob(first, source)
        if work is None and (folder := events_folder(self.stored, config)) is not None:
            self.tell(f"writing event files to {folder}")
        code = self.trainable.code
        slots = start_backend(study, config, self._workers, self.observers, code=code, prepared=self._prepared)
        self._prepared = True
        used = min(slots, most_at_once or slots)
        if used < slots and used == study.lag:  # another worker would always wait
            fix = f"a new study with [resources] slots = {slots} lets all of them run"
            self.tell(f"lag = {used}, so {used} instead of {slots} trainings run at a time; {fix}")
        backend = make_backend(work or self.work_folder, study, config, self._workers, used)
        limited = source if max_failures is None else FailureLimit(source, max_failures)
        trainable = self.trainable if objective is None else replace(self.trainable, objective=objective)
        with self.costs.measured():
            run_all(backend, limited, trainable, resources(study, config), stop, self.observers)

    def _held_lease(self) -> Lease:
        assert self.lease is not None  # only a study's driver writes
        return self.lease


def resolve_study(study: Study | str, *, to_train: bool = True) -> Study:
    """Returns a study, loaded by name if a name is given.

    Args:
        study: the study, or its name.
        to_train: whether the study is to be trained, as in `load_study`.

    Raises:
        StudyNotFound: if there is no such study.
        StudyInvalid: if its file has problems.
    """
    if isinstance(study, str | PurePath):
        return load_study(str(study), to_train=to_train)
    require_type("study", study, Study, "a Study or the name of one")
    if to_train:
        check_space(study)
    return study


def checked_config(config: RunConfig | None) -> RunConfig:
    """Returns the RunConfig that was given, or the default one.

    Raises:
        UsageError: if it is not a RunConfig.
    """
    require_type(
        "config", config, (RunConfig, type(None)), "an hpo.RunConfig, e.g. hpo.RunConfig(storage='sqlite:///hpo.db')"
    )
    return config or RunConfig()


def located_trainable(study: Study) -> TrainableRef:
    """Returns a reference to the study's trainable, with its current code and the defaults of its params.

    Raises:
        UsageError: if the trainable cannot be imported.
    """
    loaded, always = load(study.ref), {name for name, dimension in study.space.items() if not dimension.when}
    defaults = loaded.defaults({*study.fixed, *always}, study.root)
    return replace(study.ref, code=loaded.code(study.root), defaults=defaults)
