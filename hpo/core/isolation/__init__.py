"""Isolates the driver and later trainings from what user code changes in its process."""

from hpo.core.isolation.interpreter import restored
from hpo.core.isolation.isolation import TUNE, Isolation, clear_working_folder, in_project, working_folder
from hpo.core.isolation.libraries import TORCH, make_torch_repeatable
from hpo.core.isolation.streams import protect_streams

__all__ = [
    "TORCH",
    "TUNE",
    "Isolation",
    "clear_working_folder",
    "in_project",
    "make_torch_repeatable",
    "protect_streams",
    "restored",
    "working_folder",
]
