"""The backend of a command: checks what it needs, starts or joins it, and ends it with the command."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from hpo.backends.local import LocalBackend
from hpo.backends.machine import ray_is_joined, require_gpu, require_resources
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
            slots = self.enter_context(connected(config.ray_address, wanted, config.concurrency))
            check_nodes_have_gpu(wanted)
            self.slots = slots
        return self.slots


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
    elif config.ray_address or ray_is_joined():  # only Ray itself knows how large a running Ray is
        workers.join(study, config, observers)
    else:
        require_resources(resources(study, config))


def start_backend(
    study: Study, config: RunConfig, workers: Workers, observers: Sequence[Observer], *, prepared: bool = False
) -> int:
    """Starts or joins the backend and returns the number of trainings that run at a time.

    Args:
        study: the study to be trained.
        config: where its trainings run.
        workers: keep the backend running.
        observers: told which phase begins.
        prepared: whether the data was already prepared, see `prepare_if_new`.

    Raises:
        UsageError: if no Ray answers at the address, a training does not fit, or the data cannot be used.
    """
    check_backend_fits(study, config, workers, observers)
    if not prepared:
        _prepare(study, config, observers)
    if config.backend == "local":
        return 1
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


def make_backend(work: str, config: RunConfig, slots: int) -> Backend:
    """Returns a backend that keeps the jobs' folders in `work`; Ray must have been started by `start_backend`."""
    if config.backend == "local":
        return LocalBackend(work)
    from hpo.backends.ray import RayBackend  # slow to import

    return RayBackend(work, slots)
