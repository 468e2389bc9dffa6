"""How many trainings fit on this machine's graphics cards, and which process gets which card."""

from __future__ import annotations

import math
import os
import sys

from hpo.core.errors import UsageError
from hpo.core.protocols import Resources
from hpo.training import gpu_info

VARIABLES = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
"""The variables that tell CUDA's and ROCm's libraries which cards a process may use."""


def slots_of(resources: Resources, concurrency: int) -> list[dict[str, str]]:
    """Returns the environment variables of each worker process.

    Args:
        resources: the resources of one training.
        concurrency: maximum number of trainings at a time.

    Raises:
        UsageError: if no training fits on the cards.
    """
    if not resources.gpu:
        return [{}] * concurrency
    cards = _cards(len(gpu_info().cards))
    shares = _shares(cards, resources.gpu)
    if not shares:
        raise UsageError(
            f"one training requests {resources.gpu:g} GPU, this machine has {len(cards)}; "
            "ask for less with --gpus-per-trial"
        )
    name = VARIABLES[bool(getattr(sys.modules["torch"].version, "hip", None))]
    return [{name: share} for share in shares[:concurrency]]


def _cards(count: int) -> list[str]:
    """Returns the names of the cards of this process, as its own processes have to call them."""
    for variable in VARIABLES:
        if os.environ.get(variable):
            return [name.strip() for name in os.environ[variable].split(",")][:count]
    return [str(card) for card in range(count)]


def _shares(cards: list[str], gpu: float) -> list[str]:
    """Returns the cards of each training; trainings that share cards are spread over all of them."""
    if gpu < 1:
        return cards * math.floor(1 / gpu + 1e-9)
    whole = int(gpu)
    return [",".join(cards[first : first + whole]) for first in range(0, len(cards) - whole + 1, whole)]
