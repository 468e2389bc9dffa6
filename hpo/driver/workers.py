"""The backend of a command: checks what it needs, starts or joins it, and ends it with the command."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

from hpo.backends.local import LocalBackend
from hpo.backends.machine import cores, ray_is_joined, require_gpu, require_resources
from hpo.backends.processes import ProcessBackend, ProcessPool, slots_of
from hpo.core.code import UNKNOWN, Code
from hpo.core.protocols import Backend, Observer
from hpo.core.run_config import RunConfig
from hpo.core.wrappers import tell_phase
from hpo.driver.resources import resources
from hpo.driver.storage import storage
from hpo.store import health
from hpo.study import Study
from hpo.study.trainable import load
from hpo.training import work_dir


class Workers(ExitStack):
    """Keeps one backend running over several commands, each of which would otherwise start its own."""

    slots: int | None = None
    _pool: ProcessPool | None = None
    _pool_of: tuple[object, ...] = ()  # what the pool's processes have been started with
    _pool_code: Code = UNKNOWN  # what they have imported, once that is known

    def join(self, study: Study, config: RunConfig, observers: Sequence[Observer]) -> int:
        """Starts or joins Ray unless that was done already, and returns the number of trainings that run at a time.

        Raises:
            UsageError: if no Ray answers at the address, or a training does not fit.
        """
        if self.slots is None:
            tell_phase(observers, f"joining Ray at {config.ray_address}" if config.ray_address else "starting Ray")
            from hpo.backends.ray import (  # takes a second to import, and the local backend does not need it
                check_nodes_have_gpu,
                connected,
            )

            wanted = resources(study, config)
            told = partial(tell_phase, observers)
            slots = self.enter_context(connected(config.ray_address, wanted, config.concurrency, told))
            check_nodes_have_gpu(wanted)
            self.slots = slots
        return self.slots

    def pool(self, study: Study, config: RunConfig, code: Code = UNKNOWN) -> ProcessPool:
        """Returns worker processes of this machine: those that run already, if they have imported the same code.

        Args:
            study: the study to be trained.
            config: says how many trainings run at a time.
            code: the code that they are to run; unknown: they import it only now.

        Raises:
            UsageError: if no training fits on the graphics cards.
        """
        slots = slots_of(resources(study, config), config.concurrency or 1)
        wanted = (study.ref.path, study.ref.root, slots)
        if wanted != self._pool_of or code.differs(self._pool_code):
            self._close_pool()
        if self._pool is None:
            self._pool = ProcessPool(slots, study.ref if study.ref.function is None else None)
            self._pool_of, self._pool_code = wanted, UNKNOWN
            self.callback(self._close_pool)
        if code != UNKNOWN:
            self._pool_code = code
        return self._pool

    def begin(self, study: Study, config: RunConfig) -> None:
        """Starts processes of this machine, which import the trainable while the driver opens the study.

        No more than it has cores: there may be nothing left to train.
        """
        if uses_processes(config):
            self.pool(study, config).fill(min(study.lag, cores()))

    def _close_pool(self) -> None:
        if self._pool is not None:
            self._pool.close()
            self._pool = None


def uses_processes(config: RunConfig) -> bool:
    """Whether trainings run in worker processes of this machine, without Ray."""
    return config.backend == "local" and config.concurrency is not None


def check_backend_fits(study: Study, config: RunConfig, workers: Workers, observers: Sequence[Observer]) -> None:
    """Raises, before a new study is written, if its trainings do not fit on the backend.

    Args:
        study: the study to be trained.
        config: where its trainings run.
        workers: join a running Ray, whose size only Ray knows.
        observers: told which phase begins.

    Raises:
        UsageError: if this machine is too small for a training, or the Ray at the address.
    """
    if config.backend == "local":
        require_gpu(resources(study, config))
        if uses_processes(config):
            slots_of(resources(study, config), config.concurrency or 1)
    elif config.ray_address or ray_is_joined():  # only Ray itself knows how large a running Ray is
        workers.join(study, config, observers)
    else:
        require_resources(resources(study, config))


def start_backend(
    study: Study,
    config: RunConfig,
    workers: Workers,
    observers: Sequence[Observer],
    *,
    code: Code = UNKNOWN,
    prepared: bool = False,
) -> int:
    """Starts or joins the backend and returns the number of trainings that run at a time.

    Args:
        study: the study to be trained.
        config: where its trainings run.
        workers: keep the backend running.
        observers: told which phase begins.
        code: the trainable's code, which processes that run already must have imported.
        prepared: whether the data was already prepared, see `prepare_if_new`.

    Raises:
        UsageError: if no Ray answers at the address, a training does not fit, or the data cannot be used.
    """
    check_backend_fits(study, config, workers, observers)
    if not prepared:
        _prepare(study, config, observers)
    if config.backend == "local" and not uses_processes(config):
        return 1
    if uses_processes(config):
        slots = workers.pool(study, config, code).slots
    else:
        slots = workers.join(study, config, observers)
    tell_phase(observers, f"starting {slots} worker{'s' if slots != 1 else ''}")
    return slots


def prepare_if_new(study: Study, config: RunConfig, observers: Sequence[Observer]) -> bool:
    """Prepares the data of a study that is not stored yet, so that nothing is stored if the data cannot be used.

    Returns:
        Whether the data was prepared; the data of a stored study is prepared later, once there is something to train.

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
    """Calls `prepare` of the trainable's module, once, so that its progress and errors are shown.

    Raises:
        UsageError: if the data cannot be used.
    """
    prepare = load(study.ref).hook("prepare")
    if prepare is None:
        return

    def tell(message: str, done: int = 0, total: int = 0) -> None:
        for observer in observers:
            observer.advanced(message, done, total)

    prepare(dict(study.fixed), work_dir(f"{config.work_root}/{study.name}").cache, tell)


def make_backend(work: str, study: Study, config: RunConfig, workers: Workers, slots: int) -> Backend:
    """Returns a backend that keeps the jobs' folders in `work`; `start_backend` has started what it needs.

    Args:
        work: folder or URL for the jobs' folders.
        study: the study to be trained.
        config: where its trainings run.
        workers: keep the backend running.
        slots: maximum number of trainings at a time.
    """
    if uses_processes(config):
        return ProcessBackend(work, workers.pool(study, config), slots)
    if config.backend == "local":
        return LocalBackend(work)
    from hpo.backends.ray import RayBackend  # slow to import

    return RayBackend(work, slots)
