"""Loads the user's weights: read without executing code, and checked before any is used."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from hpo import UsageError
from models.mammography.grader import Grader

SHOWN = 3
"""Maximum tensors in a message."""

BELOW = ("state_dict", "model_state_dict", "model")
"""Keys of the state dict in files that contain more."""


def load_weights(model: Grader, path: Path) -> str:
    """Loads the backbone's weights from a file, and the head's if they fit, and returns the file's sha256.

    Args:
        model: the model; unchanged if this raises.
        path: path of a state dict written by torch.save.

    Raises:
        UsageError: if the file cannot be read, or has other weights.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"weights {path}: cannot be read ({error.strerror})") from error
    state = model.renamed(_tensors(path, content))
    wanted = model.state_dict()
    backbone = {name for name in wanted if not model.is_of_head(name)}
    _check_state_dict(path, state, wanted, backbone)
    # A head for other classes, or no head, is allowed: it keeps its initialization.
    head = {name for name in wanted.keys() - backbone if name in state and state[name].shape == wanted[name].shape}
    model.load_state_dict({**wanted, **{name: state[name] for name in backbone | head}})
    return hashlib.sha256(content).hexdigest()


def _tensors(path: Path, content: bytes) -> dict[str, Tensor]:
    try:
        found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds of errors for unreadable files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(
            f"weights {path}: expected a state dict written by torch.save, with only tensors ({reason})"
        ) from error
    for key in BELOW:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not all(isinstance(tensor, Tensor) for tensor in found.values()):
        raise UsageError(f"weights {path}: expected a state dict, tensors by name, got {type(found).__name__}")
    return dict(found)


def _check_state_dict(
    path: Path, state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], backbone: set[str]
) -> None:
    missing = [name for name in wanted if name in backbone and name not in state]
    foreign = [name for name in state if name not in wanted]
    other = [
        f"{name} is {_shape(state[name])} there and {_shape(wanted[name])} here"
        for name in wanted
        if name in backbone and name in state and state[name].shape != wanted[name].shape
    ]
    faults = []
    if missing:
        faults.append(f"{len(missing)} of {len(backbone)} tensors are missing: {_some(missing)}")
    if foreign:
        faults.append(f"{len(foreign)} are unknown: {_some(foreign)}")
    if other:
        faults.append(f"{len(other)} have other shapes: {_some(other)}")
    if missing or other or foreign:
        raise UsageError(f"weights {path} do not fit the network; {'; '.join(faults)}")


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"
