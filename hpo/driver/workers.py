"""The backend of a command: what it needs is checked, started or joined, and ended with the command."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from hpo.backends.local import LocalBackend
from hpo.backends.machine import ray_is_joined, require_gpu, require_resources
from hpo.core.protocols import Backend, Observer
from hpo.core.run_config import RunConfig
from hpo.core.wrappers import tell_phase
from hpo.driver.placing import resources
from hpo.driver.storage import storage
from hpo.store import health
from hpo.study import Study
from hpo.study.trainable import load
from hpo.training import work_dir


class Workers(ExitStack):
    """Keeps a backend running between several commands, which would each start their own."""

    slots: int | None = None

    def join(self, study: Study, config: RunConfig, observers: Sequence[Observer]) -> int:
        """Starts Ray or joins it, unless that was done before, and returns the number of trainings at a time.

        Raises:
            UsageError: if there is no Ray at the address, or a training does not fit.
        """
        if self.slots is None:
            tell_phase(observers, f"joining Ray at {config.ray_address}" if config.ray_address else "starting Ray")
            from hpo.backends.ray import (  # a second to import, and not needed locally
                connected,
                refuse_nodes_without_gpu,
            )

            wanted = resources(study, config)
            slots = self.enter_context(connected(config.ray_address, wanted, config.concurrency))
            refuse_nodes_without_gpu(wanted)
            self.slots = slots
        return self.slots


def refuse_unsuitable(study: Study, config: RunConfig, workers: Workers, observers: Sequence[Observer]) -> None:
    """Raises, before a new study is written, where no training of it fits.

    Args:
        study: whose trainings are to run.
        config: where they are to run.
        workers: join the Ray that only Ray knows the size of.
        observers: told what begins.

    Raises:
        UsageError: if this machine is too small for a training, or the Ray at the address.
    """
    if config.backend == "local":
        require_gpu(resources(study, config))
    elif config.ray_address or ray_is_joined():  # of a Ray that is joined already, only Ray knows how large it is
        workers.join(study, config, observers)
    else:
        require_resources(resources(study, config))


def ready(
    study: Study, config: RunConfig, workers: Workers, observers: Sequence[Observer], *, prepared: bool = False
) -> int:
    """Starts or joins what the backend needs and returns the number of trainings that run at a time.

    Args:
        study: whose trainings are to run.
        config: where they are to run.
        workers: keeps the backend running.
        observers: told what begins.
        prepared: whether the data was prepared already, see `prepare_new`.

    Raises:
        UsageError: if there is no Ray at the address, a training does not fit, or the data cannot be used.
    """
    refuse_unsuitable(study, config, workers, observers)
    if not prepared:
        _prepare(study, config, observers)
    if config.backend == "local":
        return 1
    slots = workers.join(study, config, observers)
    tell_phase(observers, f"starting {slots} worker{'s' if slots != 1 else ''}")
    return slots


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

    prepare(dict(study.fixed), work_dir(f"{config.work_root}/{study.name}").cache, tell)


def make_backend(work: str, config: RunConfig, slots: int) -> Backend:
    """Returns the backend that keeps jobs' folders in `work`; for Ray, after `ready`."""
    if config.backend == "local":
        return LocalBackend(work)
    from hpo.backends.ray import RayBackend  # see above

    return RayBackend(work, slots)
