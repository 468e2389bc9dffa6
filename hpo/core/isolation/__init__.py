"""What user code does to the process it runs in, kept from the driver and from the next training."""

from hpo.core.isolation.interpreter import unchanged
from hpo.core.isolation.isolation import Isolation, clear_working_folder, in_project, working_folder
from hpo.core.isolation.libraries import TORCH, make_torch_repeatable
from hpo.core.isolation.streams import kept_streams

__all__ = [
    "TORCH",
    "Isolation",
    "clear_working_folder",
    "in_project",
    "kept_streams",
    "make_torch_repeatable",
    "unchanged",
    "working_folder",
]
