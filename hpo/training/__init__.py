"""Training of one job under its seed. Only this package and `hpo.seeds` import torch."""

from hpo.training.context import Context
from hpo.training.gpus import GpuInfo, gpu_info
from hpo.training.keras_state import KerasState
from hpo.training.outputs.artifacts import ARTIFACTS
from hpo.training.outputs.events import check_tensorboard
from hpo.training.predictions import Predictions
from hpo.training.process import configured_torch, device_for
from hpo.training.run import TrainingRun, discard_checkpoint
from hpo.training.weights import INITIAL_WEIGHTS, Difference, first_difference
from hpo.training.workdir import WorkDir, check_writable_url, find_folder, is_url, local_copy, work_dir

__all__ = [
    "ARTIFACTS",
    "INITIAL_WEIGHTS",
    "Context",
    "Difference",
    "GpuInfo",
    "KerasState",
    "Predictions",
    "TrainingRun",
    "WorkDir",
    "check_tensorboard",
    "check_writable_url",
    "configured_torch",
    "device_for",
    "discard_checkpoint",
    "find_folder",
    "first_difference",
    "gpu_info",
    "is_url",
    "local_copy",
    "work_dir",
]
