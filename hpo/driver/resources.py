"""What a study's trainings need: a work folder, CPUs and GPUs; and whether the study can run under a `RunConfig`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hpo.backends.machine import require_reachable
from hpo.core.errors import UsageError
from hpo.core.protocols import Resources
from hpo.core.run_config import RunConfig
from hpo.results import require_writable
from hpo.store import StoredStudy
from hpo.study import Study
from hpo.training import check_writable_url, find_folder, is_url
from hpo.training.outputs.events import check_tensorboard


def work_folder(stored: StoredStudy, config: RunConfig) -> str:
    """Returns the study's folder for checkpoints and artifacts, or its URL; it is unique per database.

    It is named after the study's first name, and keeps that name when the study is renamed.
    """
    name = f"{stored.name}-{stored.uid[:8]}"
    return f"{config.work_root}/{find_folder(str(config.work_root), name, stored.uid[:8])}"


def events_folder(stored: StoredStudy, config: RunConfig) -> str | None:
    """Returns the folder in which trainings write event files, or its URL; None if they write none."""
    return work_folder(stored, config) if config.tensorboard else None


def resources(study: Study, config: RunConfig) -> Resources:
    """Returns the resources of one training; the `RunConfig` overrides the study."""
    cpu = study.resources.cpu if config.cpus_per_trial is None else config.cpus_per_trial
    gpu = study.resources.gpu if config.gpus_per_trial is None else config.gpus_per_trial
    return replace(
        study.resources,
        cpu=cpu,
        gpu=gpu,
        events=config.tensorboard,
        stop_wait=config.stop_wait,
        keep=study.results.keeps_trials,
    )


def require_runnable(study: Study, config: RunConfig) -> None:
    """Raises, before anything is written, if a study cannot be run under this `RunConfig`.

    Raises:
        UsageError: if a number or the Ray address is invalid, Ray cannot be reached, or a package is missing.
        OutputRefused: if the work folder or its URL cannot be written.
    """
    wanted = resources(study, config)
    if wanted.cpu < 1 or not 0 <= wanted.gpu < float("inf"):
        raise UsageError(
            f"a training needs at least 1 CPU and 0 or more GPUs, not {wanted.cpu} CPUs and {wanted.gpu:g} GPUs"
        )
    if wanted.gpu > 1 and wanted.gpu != int(wanted.gpu):
        raise UsageError(f"a training gets a fraction of one GPU or a whole number of GPUs, not {wanted.gpu:g}")
    if config.tensorboard:
        check_tensorboard()
    if config.backend == "ray" and config.ray_address:
        require_reachable(config.ray_address)
    if is_url(config.work_root):
        check_writable_url(config.work_root)
    else:
        require_writable(Path(config.work_root))
