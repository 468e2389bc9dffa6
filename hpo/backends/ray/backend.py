"""Ray Tune as a backend: it starts workers, keeps them busy and notices when one dies. It decides nothing."""

from __future__ import annotations

import shutil
import uuid
from dataclasses import replace
from pathlib import Path

import ray
from ray import tune

from hpo.backends.bridge import WorkerBridge
from hpo.backends.ray.tune_hooks import BridgeScheduler, BridgeSearcher, BridgeStopper, SilentProgress
from hpo.backends.ray.worker import Worker
from hpo.backends.shipping import ship
from hpo.backends.worker import CHUNK_SECONDS, Task
from hpo.core.errors import BackendError
from hpo.core.protocols import JobSource, Resources, Stop, TrainableRef
from hpo.core.records import Evaluation, Job
from hpo.training import discard_checkpoint, is_url, work_dir


class RayBackend:
    """Runs jobs on Ray Tune's workers. Ray is running when it is made (see `connected`).

    Args:
        work: the study's folder for checkpoints and artifacts, on a cluster a shared one, or its URL.
        slots: trainings at a time.
    """

    def __init__(self, work: str | Path, slots: int) -> None:
        self._work = str(work) if is_url(str(work)) else str(Path(work).absolute())
        self._work_dir = work_dir(work)
        self._slots = slots
        self.overdue: tuple[Job, ...] = ()

    def run(self, source: JobSource, trainable: TrainableRef, resources: Resources, stop: Stop) -> None:
        """Runs the source's jobs until it is done or `stop` is set.

        Raises:
            UsageError: if the trainable is a function of a session that Ray cannot ship.
            BackendError: if Tune gives up.
        """
        self.overdue = ()
        if stop.is_set():  # while Ray was starting
            return
        name = uuid.uuid4().hex[:8]
        scratch = self._work_dir.scratch / f"tune-{name}"
        scratch.mkdir(parents=True)
        idle = Task(
            job=None,
            trainable=replace(trainable, function=None),  # Tune writes tasks to the disk
            resources=resources,
            work=self._work,
            chunk_seconds=CHUNK_SECONDS,
            halt=f"halt-{name}",
        )
        worker = _with_function(trainable)
        bridge = WorkerBridge(source, idle, stop, self._finished)
        try:
            tune.run(
                tune.with_resources(worker, {"cpu": resources.cpu, "gpu": resources.gpu}),
                name="tune",
                storage_path=str(scratch),
                search_alg=BridgeSearcher(bridge),
                scheduler=BridgeScheduler(bridge),
                num_samples=-1,
                max_concurrent_trials=self._slots,
                reuse_actors=True,
                raise_on_failed_trial=False,
                stop=BridgeStopper(bridge),
                verbose=0,
                callbacks=[SilentProgress()],
                checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            )
        except tune.TuneError as error:
            raise BackendError(f"Ray Tune gave up: {error}") from error
        finally:
            self.overdue = bridge.overdue
            bridge.close()
            self._work_dir.clear_flags(idle.halt)  # and those of limits, which a worker may set while it is being ended
            shutil.rmtree(scratch, ignore_errors=True)
        if bridge.fault is not None:
            raise bridge.fault

    def _finished(self, evaluation: Evaluation) -> None:
        discard_checkpoint(self._work, evaluation.job)


def _with_function(trainable: TrainableRef) -> type[tune.Trainable]:
    """Returns what runs in a worker process; a function of a session reaches it by Ray's object store.

    Raises:
        UsageError: if Ray cannot ship the function.
    """
    shipped = ship(trainable, ray.put, "Ray", "use backend='local'")
    if shipped is None:
        return Worker
    # in a list, so that a worker takes it only once it finds the project's modules
    return tune.with_parameters(Worker, shipped=[shipped])  # type: ignore[no-any-return]  # Ray's
