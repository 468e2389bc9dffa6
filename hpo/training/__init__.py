"""One job trained under its seed; with `hpo.seeding`, torch's room."""

from hpo.training.context import Context
from hpo.training.predictions import Predictions
from hpo.training.process import device_for, prepared
from hpo.training.trainable import Loaded, load
from hpo.training.training import Training, discard_checkpoint

__all__ = ["Context", "Loaded", "Predictions", "Training", "device_for", "discard_checkpoint", "load", "prepared"]
