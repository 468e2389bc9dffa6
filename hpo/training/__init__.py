"""One job trained under its seed. Only here and in `hpo.seeds` torch is needed; elsewhere it is used where loaded."""

from hpo.training.context import Context
from hpo.training.graphics import Graphics, graphics
from hpo.training.keras_state import KerasState
from hpo.training.outputs.artifacts import ARTEFACTS
from hpo.training.outputs.events import refuse_missing_tensorboard
from hpo.training.predictions import Predictions
from hpo.training.process import device_for, prepared
from hpo.training.run import TrainingRun, discard_checkpoint
from hpo.training.weights import INITIAL, Difference, first_difference
from hpo.training.workdir import WorkDir, is_url, local_copy, named_like, refuse_unusable_url, work_dir

__all__ = [
    "ARTEFACTS",
    "INITIAL",
    "Context",
    "Difference",
    "Graphics",
    "KerasState",
    "Predictions",
    "TrainingRun",
    "WorkDir",
    "device_for",
    "discard_checkpoint",
    "first_difference",
    "graphics",
    "is_url",
    "local_copy",
    "named_like",
    "prepared",
    "refuse_missing_tensorboard",
    "refuse_unusable_url",
    "work_dir",
]
