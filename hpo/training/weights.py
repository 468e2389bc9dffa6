"""Weights by their bits: the digest of one training's, and where two trainings' differ."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpo.core.errors import TrainableError
from hpo.core.files import atomic_write, is_file
from hpo.core.records import START
from hpo.core.texts import type_name
from hpo.training.states import MAY_HOLD, PLAIN_TYPES, load_plain

MODEL_FILE = "best_model.pt"
"""The state dict of the selected epoch, in the job's folder."""

PLAIN_VALUES = (bool, int, float, complex, str, bytes, bytearray, *PLAIN_TYPES)
"""Beside tensors and NumPy's values, what a state dict holds that its `repr` tells."""

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
    if not all(is_file(file) for file in files):
        return None
    first, second = (load_plain(file, "cpu") for file in files)
    for name, value in first.items():
        against = second.get(name)
        if name in second and weights_digest({name: value}) == weights_digest({name: against}):
            continue
        both = (value, against)
        if not all(isinstance(each, torch.Tensor) for each in both) or value.shape != against.shape:
            return Difference(tensor=name, size=None)
        if value.dtype != against.dtype:
            return Difference(tensor=name, size=None)
        wide = torch.complex128 if value.is_complex() else torch.float64
        return Difference(tensor=name, size=float((value.to(wide) - against.to(wide)).abs().max()))
    return None


def weights_digest(weights: Mapping[str, Any]) -> str:
    """Returns the sha256 over names, kinds, shapes and every bit of a state dict, in the order of its names.

    Args:
        weights: tensors by name, and what else a state dict may hold, e.g. a layer's extra state.

    Raises:
        TrainableError: if something in it is of a type whose bits cannot be told.
    """
    found = hashlib.sha256()
    for name in sorted(weights, key=str):
        _add(found, name, weights[name])
    return found.hexdigest()


def start_digest(model: Any) -> dict[str, str]:
    """Returns under `START` the digest of a model that is about to be trained; nothing where it has no weights yet.

    Args:
        model: with a state_dict.
    """
    try:
        return {START: weights_digest(model.state_dict())}
    except Exception:  # a lazy layer, say: what stays wrong is said at the end
        return {}


def save_weights(folder: Path, weights: Mapping[str, Any]) -> None:
    """Writes a state dict, with its tensors on the CPU, to `MODEL_FILE` in a folder.

    Raises:
        OSError: if it cannot be written.
    """
    import torch

    with atomic_write(folder / MODEL_FILE) as spare:
        torch.save(on_cpu(dict(weights)), spare)


def on_cpu(value: Any) -> Any:
    """Returns a state dict, or a part of one, with its tensors on the CPU."""
    import torch

    if isinstance(value, torch.Tensor):
        return value.cpu()
    if type(value) in (dict, OrderedDict):
        return type(value)((name, on_cpu(one)) for name, one in value.items())
    return type(value)(map(on_cpu, value)) if type(value) in (list, tuple) else value


def _add(found: Any, name: object, value: Any) -> None:
    """Adds a value under its name to a sum."""
    import torch

    if isinstance(value, torch.Tensor):
        found.update(_of_tensor(name, value))
    elif isinstance(value, np.ndarray | np.generic) and not value.dtype.hasobject:
        array = np.ascontiguousarray(value)
        found.update(_head(name, f"numpy {array.dtype} {np.shape(value)}") + array.tobytes())
    elif isinstance(value, Mapping):
        found.update(_head(name, f"mapping {len(value)}"))
        for key, one in sorted(value.items(), key=lambda item: str(item[0])):
            _add(found, f"{name}.{key}", one)
    elif isinstance(value, list | tuple):
        found.update(_head(name, f"list {len(value)}"))
        for place, one in enumerate(value):
            _add(found, f"{name}.{place}", one)
    elif isinstance(value, set | frozenset):
        found.update(_head(name, f"set {sorted(map(repr, value))}"))
    elif value is None or isinstance(value, (*PLAIN_VALUES, torch.dtype, torch.device)):
        found.update(_head(name, f"{type(value).__name__} {value!r}"))
    else:
        raise TrainableError(
            f"the model's state {name!r} is a {type_name(value)}, which has no digest; a state_dict may hold {MAY_HOLD}"
        )


def _of_tensor(name: object, tensor: Any) -> bytes:
    """Returns a tensor's name, kind, shape and bits."""
    import torch

    dense = tensor.detach()
    if dense.is_quantized:
        dense = dense.dequantize()
    if dense.layout is not torch.strided:
        dense = dense.to_dense()
    dense = dense.cpu().resolve_conj().resolve_neg().contiguous()
    try:
        array = dense.numpy()
        kind = str(array.dtype)
    except TypeError:  # NumPy has no such kind of number: bfloat16, float8
        array, kind = dense.reshape(-1).view(torch.uint8).numpy(), str(dense.dtype)
    return _head(name, f"{kind} {tuple(dense.shape)}") + bytes(array.tobytes())


def _head(name: object, kind: str) -> bytes:
    return f"{name} {kind}\n".encode(errors="backslashreplace")
