"""Opening what a verb needs: the database with both kinds of tables, the right to write, and a backend."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePath
from typing import Any

from hpo.backends.local import LocalBackend
from hpo.backends.machine import ray_is_joined, refuse_missing_gpu, refuse_too_large
from hpo.core.arguments import refuse_no_kind
from hpo.core.code import UNKNOWN, Code
from hpo.core.errors import NothingToPromote, StorageUnavailable, StudyChanged, UsageError
from hpo.core.files import Guard
from hpo.core.protocols import Backend, Observer, Stop, TrainableRef
from hpo.core.redaction import masked
from hpo.core.run_config import RunConfig
from hpo.core.wrappers import patiently
from hpo.driver.code_changes import heed_code
from hpo.driver.placing import events_folder, resources, work_folder
from hpo.driver.stop_controller import StopController
from hpo.driver.tidying import clear_leftovers
from hpo.store import (
    JOB,
    MAKE_ONE,
    Lease,
    Outage,
    Store,
    StoredStudy,
    engine_options,
    explained,
    health,
    normalised,
    prepare_optuna,
    sqlite_file,
)
from hpo.store.optuna_storage.studies import Durable, DurableStudy
from hpo.store.optuna_storage.tables import OPTUNA
from hpo.study import Study
from hpo.study.loading import load_study, refuse_unfit_params
from hpo.study.trainable import load
from hpo.training import shelf

UID = "hpo:uid"
"""The Optuna study's attribute that ties it to our tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A study in its database.

    Attributes:
        store: our tables.
        stored: the study there.
        durable: its trials in Optuna's tables.
        studies: all of Optuna's studies there.
        engine: of Optuna's tables.
        config: where it is kept and run.
        code: that is trained with.
    """

    store: Store
    stored: StoredStudy
    durable: DurableStudy
    studies: Durable
    engine: Any
    config: RunConfig
    code: Code = UNKNOWN

    def guard(self, lease: Lease, stop: Stop) -> Guard:
        """Returns what has to be asked right before each file that others read: whether this driver still is the one.

        Args:
            lease: the driver's.
            stop: ends the waiting for a database that is away.
        """
        return lambda: patiently(lambda: self.store.refuse_replaced(lease), stop)


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
    refuse_no_kind("study", study, Study, "a Study or the name of one")
    if to_train:
        refuse_unfit_params(study)
    return study


def placed(config: RunConfig | None) -> RunConfig:
    """Returns the place that was given, or the usual one.

    Raises:
        UsageError: if it is none.
    """
    refuse_no_kind(
        "place", config, (RunConfig, type(None)), "an hpo.RunConfig, e.g. hpo.RunConfig(storage='sqlite:///hpo.db')"
    )
    return config or RunConfig()


@contextmanager
def storage(
    url: str, *, create: bool = False, writes: bool = False, outage: Outage | None = None, cached: bool = False
) -> Iterator[tuple[Store, Durable]]:
    """Opens a database.

    Args:
        url: SQLAlchemy's.
        create: whether a missing SQLite file and missing tables are made.
        writes: whether anything is to be written; otherwise the database refuses that.
        outage: how long it may be away once it is open; None: not at all.
        cached: whether finished trials are kept in memory; see `Durable`.

    Raises:
        StorageUnavailable: if it cannot be opened, or is missing and not to be made.
    """
    url = normalised(url)
    path = sqlite_file(url)
    # os.path.exists is False for a name that is too long, where Path.exists raises.
    if path is not None and not create and not os.path.exists(path):
        raise StorageUnavailable(f"there is no storage {masked(url)} yet; {MAKE_ONE}")
    outage = outage or Outage(masked(url))
    with explained(url, masked(url)), ExitStack() as stack:
        store = Store(url, outage, create=create, writes=writes, library=OPTUNA)
        stack.callback(store.close)
        prepare, options = partial(prepare_optuna, read_only=not writes), engine_options(url, read_only=not writes)
        durable = Durable(store.location, prepare, options, outage.watched, cached=cached, make=False)
        stack.callback(durable.close)
        yield store, durable


@contextmanager
def opened(
    study: Study,
    config: RunConfig,
    observers: Sequence[Observer],
    *,
    create: bool,
    accept_code_change: bool = False,
) -> Iterator[Opened]:
    """Opens a study in its database.

    Args:
        study: which.
        config: where.
        observers: told when the database goes away later, and when it is back.
        create: whether study and database are made if they are missing; otherwise nothing is written.
        accept_code_change: whether the study goes on although trainings in it are of other code than there is now.

    Raises:
        NothingToPromote: if the study is missing and not to be made.
        StudyChanged: if the stored study of that name means something else.
        CodeChanged: if its trainings are of other code than there is now, and that is not accepted.
        StorageUnavailable: if the database cannot be opened.
    """
    trainable = trainable_of(study)
    outage = Outage(masked(config.storage), config.storage_wait, partial(tell_phase, observers))
    with storage(config.storage, create=create, writes=True, outage=outage) as (store, durable):
        if store.found in ("optuna", "others"):
            tell_phase(observers, f"adding the tables of hpo to {masked(store.url)}, beside those that were there")
        known, trials = store.find(study.name), durable.find(study.name)
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
        store.refuse_changed(study, trainable.defaults)
        tell = partial(tell_phase, observers)
        code = heed_code(known, trainable.code, store, tell, accept=accept_code_change)
        stored = store.enrol(study, trainable.defaults, code)
        attributes = {UID: stored.uid, "hpo:digest": study.digest}
        yield Opened(
            store=store,
            stored=stored,
            durable=durable.open(study.name, study.objective.direction, attributes),
            studies=durable,
            engine=durable.engine,
            config=config,
            code=trainable.code,
        )


def defaults_of(study: Study) -> dict[str, object]:
    """Returns the defaults of the trainable's params that count in this study, as JSON values by name.

    Those of conditional params count too, in the trials whose condition is not met.

    Raises:
        UsageError: if the trainable cannot be imported.
    """
    return dict(trainable_of(study).defaults)


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


def tell_phase(observers: Sequence[Observer], message: str) -> None:
    """Tells all observers what begins."""
    for observer in observers:
        observer.phase(message)


@contextmanager
def driving(opened: Opened, verb: str, stop: StopController | None = None) -> Iterator[Lease]:
    """Takes the study for this process, which from then on heeds what is wished of the study's driver.

    Raises:
        StudyBusy: if another driver holds it.
        StudyPaused: if it is paused.
    """
    lease = opened.store.lease(opened.stored, verb)
    if stop is not None:
        stop.lease = lease
    try:
        with lease.fencing(opened.engine):
            config, stored = opened.config, opened.stored
            clear_leftovers(opened.store, stored, work_folder(stored, config), config.outputs)
            yield lease
    finally:
        lease.release()


class Workforce(ExitStack):
    """Keeps the backend running between several verbs; they would each start their own."""

    slots: int | None = None

    def join(self, study: Study, config: RunConfig, observers: Sequence[Observer]) -> int:
        """Starts Ray or joins it, unless that was done before, and returns the number of trainings at a time.

        Raises:
            UsageError: if there is no Ray at the address, or a training does not fit.
        """
        if self.slots is None:
            tell_phase(observers, f"joining Ray at {config.ray_address}" if config.ray_address else "starting Ray")
            from hpo.backends.ray import connected, refuse_blind_machines  # a second to import, and not needed locally

            wanted = resources(study, config)
            slots = self.enter_context(connected(config.ray_address, wanted, config.concurrency))
            refuse_blind_machines(wanted)
            self.slots = slots
        return self.slots


@contextmanager
def enlisted(
    study: Study, config: RunConfig, workforce: Workforce | None, observers: Sequence[Observer]
) -> Iterator[Workforce]:
    """Gives a workforce that will do: what is wrong with it is said before a new study is written anywhere.

    Raises:
        UsageError: if this machine is too small for a training, or the Ray at the address.
    """
    with ExitStack() as ours:
        force = workforce or ours.enter_context(Workforce())
        if config.backend == "local":
            refuse_missing_gpu(resources(study, config))
        elif config.ray_address or ray_is_joined():  # of a Ray that is joined already, only Ray knows how large it is
            force.join(study, config, observers)
        else:
            refuse_too_large(resources(study, config))
        yield force


@contextmanager
def ready(
    study: Study,
    config: RunConfig,
    workforce: Workforce | None,
    observers: Sequence[Observer],
    *,
    prepared: bool = False,
) -> Iterator[int]:
    """Starts or joins what the backend needs and gives the number of trainings that run at a time.

    Args:
        study: whose trainings are to run.
        config: where they are to run.
        workforce: keeps the backend running between several verbs; None: it ends with the block.
        observers: told what begins.
        prepared: whether the data was prepared already, see `prepare_new`.

    Raises:
        UsageError: if there is no Ray at the address, a training does not fit, or the data cannot be used.
    """
    with enlisted(study, config, workforce, observers) as force:
        if not prepared:
            _prepare(study, config, observers)
        if config.backend == "local":
            yield 1
            return
        slots = force.join(study, config, observers)
        tell_phase(observers, f"starting {slots} worker{'s' if slots != 1 else ''}")
        yield slots


def prepare_new(study: Study, config: RunConfig, observers: Sequence[Observer]) -> bool:
    """Prepares the data of a study that is not stored yet, so that nothing is written where it cannot be used.

    Returns:
        Whether the data was prepared; that of a stored study is prepared once it is known that something is to train.

    Raises:
        StorageUnavailable: if the database cannot be opened.
        UsageError: if the data cannot be used.
    """
    found = health(config.storage)
    if found is not None and found.tables in {"current", "old"}:
        with storage(config.storage) as (store, _durable):
            if store.find(study.name) is not None:
                return False
    _prepare(study, config, observers)
    return True


def _prepare(study: Study, config: RunConfig, observers: Sequence[Observer]) -> None:
    """Lets the trainable's module get ready what all trainings read, once and where it is seen.

    Raises:
        UsageError: if it cannot be used.
    """
    prepare = load(study.ref).hook("prepare")
    if prepare is None:
        return

    def tell(message: str, done: int = 0, total: int = 0) -> None:
        for observer in observers:
            observer.advanced(message, done, total)

    prepare(dict(study.fixed), shelf(f"{config.work_root}/{study.name}").cache, tell)


def make_backend(work: str, config: RunConfig, slots: int) -> Backend:
    """Returns the backend that keeps jobs' folders in `work`; for Ray, within `ready`."""
    if config.backend == "local":
        return LocalBackend(work)
    from hpo.backends.ray import RayBackend  # see above

    return RayBackend(work, slots)


def tell_of_events(stored: StoredStudy, config: RunConfig, observers: Sequence[Observer]) -> None:
    """Tells all observers where curves can be looked at while trainings run."""
    if (folder := events_folder(stored, config)) is not None:
        tell_phase(observers, f"writing event files to {folder}")


def stored_study(store: Store, name: str) -> StoredStudy:
    """Returns a study as it is stored.

    Raises:
        UsageError: if there is none of that name.
    """
    stored = store.find(name)
    if stored is None:
        known = ", ".join(store.names()) or "none"
        raise UsageError(f"no study named {name!r} in storage {masked(store.url)}. Stored there: {known}.")
    return stored


def never() -> Stop:
    """Returns a stop that is never set."""
    return threading.Event()
