"""Ray Tune as a backend: it starts workers, keeps them busy and notices when one dies. It decides nothing."""

from __future__ import annotations

import logging
import math
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ray
from ray import tune

from hpo.backends.ray.desk import Desk, DeskScheduler, DeskSearcher, DeskStopper
from hpo.backends.ray.worker import Task, Worker
from hpo.errors import BackendError, UsageError
from hpo.records import Evaluation
from hpo.seam import Resources, Source, Stop, TrainableRef
from hpo.training import discard_checkpoint

CHUNK_SECONDS = 0.2
"""How long a worker trains before its next packet; short epochs are sent together."""


@contextmanager
def connected(address: str | None, resources: Resources, concurrency: int | None) -> Iterator[int]:
    """Starts Ray on this machine, or joins it at `address`, and gives the number of trainings that run at a time.

    A Ray that this process has joined before is used and left running.

    Args:
        address: of a running cluster, `auto` for the one of this machine, None for one of our own.
        resources: of one training.
        concurrency: trainings at a time; None: as many as fit.

    Raises:
        UsageError: if there is no Ray at the address, or not a single training fits.
    """
    ours = not ray.is_initialized()
    if ours:
        wanted = max(os.cpu_count() or 1, (concurrency or 1) * resources.cpu)
        logging.getLogger("ray").setLevel(logging.ERROR)
        logging.getLogger("ray.tune.tune").setLevel(
            logging.CRITICAL
        )  # it takes a job that failed for an error of its own
        try:
            ray.init(
                address=address or "local",
                num_cpus=None if address else wanted,
                include_dashboard=False if not address else None,
                log_to_driver=False,
                logging_level=logging.ERROR,
                configure_logging=True,
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UsageError(f"cannot join Ray at {address!r}: {error}".splitlines()[0]) from error
    try:
        yield _slots(resources, concurrency)
    finally:
        if ours:
            ray.shutdown()


class RayBackend:
    """Runs jobs on Ray Tune's workers. Ray is running when it is made (see `connected`).

    Args:
        work: the study's folder for checkpoints and artefacts; on a cluster a shared one.
        slots: trainings at a time.
        gather: hand out no job before all slots have a worker; for tests of determinism, never needed for speed.
    """

    def __init__(self, work: Path, slots: int, *, gather: bool = False) -> None:
        self._work = work.absolute()
        self._slots = slots
        self._gather = slots if gather else 0
        self.workers: dict[tuple[str, int], int] = {}

    def run(self, source: Source, trainable: TrainableRef, resources: Resources, stop: Stop) -> None:
        """Runs the source's jobs until it is done or `stop` is set.

        Raises:
            BackendError: if Tune gives up.
        """
        if stop.is_set():  # while Ray was starting
            return
        scratch = self._work / f"tune-{uuid.uuid4().hex[:8]}"
        scratch.mkdir(parents=True)
        idle = Task(
            job=None,
            trainable=trainable,
            resources=resources,
            work=str(self._work),
            chunk_seconds=CHUNK_SECONDS,
            halt=str(scratch / "halt"),
        )
        desk = Desk(source, idle, stop, self._finished, gather=self._gather)
        try:
            tune.run(
                tune.with_resources(Worker, {"cpu": resources.cpu, "gpu": resources.gpu}),
                name="tune",
                storage_path=str(scratch),
                search_alg=DeskSearcher(desk),
                scheduler=DeskScheduler(desk),
                num_samples=-1,
                max_concurrent_trials=self._slots,
                reuse_actors=True,
                raise_on_failed_trial=False,
                stop=DeskStopper(desk),
                verbose=0,
                checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            )
        except tune.TuneError as error:
            raise BackendError(f"Ray Tune gave up: {error}") from error
        finally:
            self.workers = desk.workers
            desk.close()
            shutil.rmtree(scratch, ignore_errors=True)
        if desk.fault is not None:
            raise desk.fault

    def _finished(self, evaluation: Evaluation) -> None:
        discard_checkpoint(self._work, evaluation.job)


def _slots(resources: Resources, concurrency: int | None) -> int:
    have: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]  # Ray's
    fits = [math.floor(have.get("CPU", 0.0) / resources.cpu)]
    if resources.gpu:
        cards, share = have.get("GPU", 0.0), resources.gpu
        fits.append(math.floor(cards / share) if share >= 1 else int(cards) * math.floor(1 / share))
    if min(fits) < 1:
        raise UsageError(
            f"one training wants {resources.cpu} CPU and {resources.gpu:g} GPU, Ray has "
            f"{have.get('CPU', 0):g} CPU and {have.get('GPU', 0):g} GPU; "
            "ask for less with --cpus-per-trial, --gpus-per-trial"
        )
    return min([*fits, concurrency] if concurrency else fits)
