"""Weights by their bits: the digest of one training's, and where two trainings' differ."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MODEL_FILE = "best_model.pt"
"""The state dict of the selected epoch, in the job's folder."""


INITIAL = "initial_weights.json"
"""Among the artefacts of what was watched: the scale that the weights began with, by layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One tensor of two models.

    Attributes:
        tensor: its name in the state dict.
        size: the largest |a - b| in it; None if the two cannot be subtracted.
    """

    tensor: str
    size: float | None


def first_difference(one: Path, other: Path) -> Difference | None:
    """Returns the first tensor, in the order of the model, that differs; None if none does or a file is gone.

    Args:
        one: folder of a training.
        other: of the other.
    """
    import torch

    files = [folder / MODEL_FILE for folder in (one, other)]
    if not all(file.is_file() for file in files):
        return None
    first, second = (torch.load(file, map_location="cpu", weights_only=True) for file in files)
    for name, tensor in first.items():
        against = second.get(name)
        if against is None or against.shape != tensor.shape or against.dtype != tensor.dtype:
            return Difference(tensor=name, size=None)
        if not torch.equal(tensor, against):
            return Difference(tensor=name, size=float((tensor.double() - against.double()).abs().max()))
    return None


def weights_digest(weights: Mapping[str, Any]) -> str:
    """Returns the sha256 over names, kinds, shapes and every bit of the tensors, in the order of their names."""
    found = hashlib.sha256()
    for name in sorted(weights):
        array = weights[name].detach().cpu().contiguous().numpy()
        found.update(f"{name} {array.dtype} {array.shape}\n".encode())
        found.update(array.tobytes())
    return found.hexdigest()
