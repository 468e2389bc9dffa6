"""Bit-exact digests of weights, and the first difference between the weights of two trainings."""

from __future__ import annotations

import hashlib
import sys
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from hpo.core.errors import TrainableError
from hpo.core.files import atomic_write, is_file
from hpo.core.optional_torch import has_torch
from hpo.core.records import START
from hpo.core.texts import type_name
from hpo.training.states import ALLOWED_VALUES, PLAIN_TYPES, load_plain, save_plain

MODEL_FILE = "best_model.pt"
"""File with the state dict of the selected epoch, in the job's folder."""

PLAIN_VALUES = (bool, int, float, complex, str, bytes, bytearray, *PLAIN_TYPES)
"""Types in a state dict, besides tensors and NumPy values, that are digested by their `repr`."""

INITIAL_WEIGHTS = "initial_weights.json"
"""Artifact of a watched training: the scale of the initial weights by layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A tensor that differs between two models.

    Attributes:
        tensor: name of the tensor in the state dict.
        size: largest absolute difference of its elements; None if the two cannot be subtracted.
    """

    tensor: str
    size: float | None


def first_difference(one: Path, other: Path) -> Difference | None:
    """Returns the first tensor that differs, in the order of the model; None if all are equal or a file is missing.

    Args:
        one: folder of the first training.
        other: folder of the second training.
    """
    files = [folder / MODEL_FILE for folder in (one, other)]
    if not all(is_file(file) for file in files):
        return None
    first, second = (load_plain(file, "cpu") for file in files)
    for name, value in first.items():
        expected = second.get(name)
        if name in second and weights_digest({name: value}) == weights_digest({name: expected}):
            continue
        if not (_is_tensor(value) and _is_tensor(expected)) or value.shape != expected.shape:
            return Difference(tensor=name, size=None)
        if value.dtype != expected.dtype:
            return Difference(tensor=name, size=None)
        import torch

        wide = torch.complex128 if value.is_complex() else torch.float64
        return Difference(tensor=name, size=float((value.to(wide) - expected.to(wide)).abs().max()))
    return None


def weights_digest(weights: Mapping[str, Any]) -> str:
    """Returns the sha256 over names, dtypes, shapes and every bit of a state dict, in the order of its names.

    Args:
        weights: tensors by name, and other values of a state dict such as a layer's extra state.

    Raises:
        TrainableError: if a value is of a type that has no digest.
    """
    if has_torch():
        import_module("torch")  # also for weights without tensors: the fingerprint tells what torch has set
    sha256 = hashlib.sha256()
    for name in sorted(weights, key=str):
        _add(sha256, name, weights[name])
    return sha256.hexdigest()


def start_digest(model: Any) -> dict[str, str]:
    """Returns the digest of a model before its training, with the key `START`; empty if it has no weights yet.

    Args:
        model: object with a state_dict.
    """
    try:
        return {START: weights_digest(model.state_dict())}
    except Exception:  # e.g. a lazy layer; a lasting problem is reported at the end
        return {}


def save_weights(folder: Path, weights: Mapping[str, Any]) -> None:
    """Writes a state dict, with its tensors on the CPU, to `MODEL_FILE` in a folder.

    Raises:
        OSError: if the file cannot be written.
    """
    with atomic_write(folder / MODEL_FILE) as temporary:
        save_plain(on_cpu(dict(weights)), temporary)


def on_cpu(value: Any) -> Any:
    """Returns a state dict, or a value of one, with its tensors on the CPU."""
    if _is_tensor(value):
        return value.cpu()
    if type(value) in (dict, OrderedDict):
        return type(value)((name, on_cpu(one)) for name, one in value.items())
    return type(value)(map(on_cpu, value)) if type(value) in (list, tuple) else value


def _add(sha256: Any, name: object, value: Any) -> None:
    """Updates a hash with a value and its name."""
    if _is_tensor(value):
        sha256.update(_of_tensor(name, value))
    elif isinstance(value, np.ndarray | np.generic) and not value.dtype.hasobject:
        array = np.ascontiguousarray(value)
        sha256.update(_header(name, f"numpy {array.dtype} {np.shape(value)}") + array.tobytes())
    elif isinstance(value, Mapping):
        sha256.update(_header(name, f"mapping {len(value)}"))
        for key, one in sorted(value.items(), key=lambda item: str(item[0])):
            _add(sha256, f"{name}.{key}", one)
    elif isinstance(value, list | tuple):
        sha256.update(_header(name, f"list {len(value)}"))
        for index, one in enumerate(value):
            _add(sha256, f"{name}.{index}", one)
    elif isinstance(value, set | frozenset):
        sha256.update(_header(name, f"set {sorted(map(repr, value))}"))
    elif value is None or isinstance(value, PLAIN_VALUES + _types_of_torch("dtype", "device")):
        sha256.update(_header(name, f"{type(value).__name__} {value!r}"))
    else:
        raise TrainableError(
            f"the model's state {name!r} is a {type_name(value)}, which has no digest; a state_dict may hold "
            f"{ALLOWED_VALUES}"
        )


def _is_tensor(value: object) -> bool:
    return isinstance(value, _types_of_torch("Tensor"))


def _types_of_torch(*names: str) -> tuple[type, ...]:
    """Returns classes of torch; none if it is not imported, because then no value is of one."""
    torch = sys.modules.get("torch")
    return () if torch is None else tuple(getattr(torch, name) for name in names)


def _of_tensor(name: object, tensor: Any) -> bytes:
    """Returns a tensor's name, dtype, shape and bits."""
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
    except TypeError:  # NumPy lacks the dtype: bfloat16, float8
        array, kind = dense.reshape(-1).view(torch.uint8).numpy(), str(dense.dtype)
    return _header(name, f"{kind} {tuple(dense.shape)}") + bytes(array.tobytes())


def _header(name: object, kind: str) -> bytes:
    return f"{name} {kind}\n".encode(errors="backslashreplace")
