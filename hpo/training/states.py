"""The values that a state_dict may hold: those that load unchanged from a checkpoint without executing anything."""

from __future__ import annotations

import datetime as dt
import io
import pathlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import IO, Any

import numpy as np

from hpo.core.errors import TrainableError
from hpo.core.optional_torch import has_torch, require_torch
from hpo.core.texts import cleaned, type_name
from hpo.training.plain_files import UnknownClass, is_of_torch, read_plain, write_plain

# torch is imported inside functions: a trainable without epochs does not need it, and it may not be installed.

PLAIN_TYPES = (
    *(frozenset, slice, range),
    *(dt.date, dt.datetime, dt.time, dt.timedelta, dt.timezone, Decimal, Fraction),
    *(pathlib.PurePosixPath, pathlib.PureWindowsPath, pathlib.PosixPath, pathlib.WindowsPath),
)
"""Types allowed in addition to torch's own list; creating them from plain values has no side effects."""

ALLOWED_VALUES = "tensors, NumPy values, numbers, strings, dates, paths, and lists, tuples, dicts and sets of them"


@contextmanager
def plain_types_allowed() -> Iterator[None]:
    """Lets `torch.load(weights_only=True)` also create NumPy values and `PLAIN_TYPES`, until the block ends."""
    import torch

    with torch.serialization.safe_globals(_allowed()):
        yield


def _allowed() -> list[Any]:
    """Returns what creates NumPy values and `PLAIN_TYPES`."""
    # NumPy pickles its values under these names, which no public module has.
    core, numeric = import_module("numpy._core.multiarray"), import_module("numpy._core.numeric")
    constructors = (core.scalar, core._reconstruct, np.ndarray, np.dtype, numeric._frombuffer)
    dtypes = (getattr(np.dtypes, name) for name in np.dtypes.__all__)
    return [*constructors, *dtypes, *PLAIN_TYPES]


def save_plain(value: object, file: Path | IO[bytes]) -> None:
    """Writes a value with `torch.save`, or without torch if that is not installed; `load_plain` reads both.

    Args:
        value: state dicts and other plain values.
        file: path of the file, or an open file.

    Raises:
        Exception: of any kind, if an object in it cannot be pickled or the file cannot be written.
    """
    if not has_torch():
        _write_without_torch(value, file)
        return
    import torch

    torch.save(value, file)


def _write_without_torch(value: object, file: Path | IO[bytes]) -> None:
    if isinstance(file, Path):
        with file.open("wb") as opened:
            write_plain(value, opened)
    else:
        write_plain(value, file)


def load_plain(file: Path | IO[bytes], device: str) -> Any:
    """Loads a file that `save_plain` wrote; nothing in it is executed.

    Args:
        file: path of the file, or an open file.
        device: device of the tensors: `cpu`, `cuda` or `meta`.

    Raises:
        UsageError: if `torch.save` wrote it and torch is not installed.
        Exception: one of a dozen kinds, if the file is damaged or holds other objects.
    """
    if not is_of_torch(file):
        return _load_without_torch(file)
    require_torch("a file that torch wrote")
    import torch

    with plain_types_allowed():
        return torch.load(file, map_location=device, weights_only=True)


def _load_without_torch(file: Path | IO[bytes]) -> Any:
    if isinstance(file, Path):
        with file.open("rb") as opened:
            return read_plain(opened, _allowed())
    return read_plain(file, _allowed())


def check_loadable(path: Path, states: Mapping[str, Any]) -> None:
    """Checks that a file that was just written can be loaded again.

    Of tensors it reads the descriptions without the values: a few milliseconds for any size.

    Args:
        path: file that `save_plain` wrote.
        states: the state dicts in it by name, for the message.

    Raises:
        TrainableError: if it holds an object of a type that cannot be loaded.
    """
    try:
        load_plain(path, "meta")
    except Exception:  # torch raises a dozen kinds; some kinds of tensors cannot be loaded without their values
        try:
            load_plain(path, "cpu")
        except Exception as error:  # third-party code may raise anything
            raise TrainableError(_unreadable(states, error)) from error


def unsavable(error: Exception) -> TrainableError:
    """Returns the error for a state that `save_plain` cannot save."""
    return TrainableError(
        "the state that ctx.epochs() or ctx.report() was given cannot be saved in a checkpoint: "
        f"{cleaned(str(error), 300)}; a state_dict may hold {ALLOWED_VALUES}"
    )


def _unreadable(states: Mapping[str, Any], error: Exception) -> str:
    for name, state in states.items():
        if (types := _unloadable_types(state)) is not None:
            reason = f"it holds {types}" if types else f"{type_name(error)}: {cleaned(str(error), 300)}"
            return (
                f"the state of {name!r} that ctx.epochs() or ctx.report() was given could not be loaded from a "
                f"checkpoint: {reason}; a state_dict may hold {ALLOWED_VALUES}"
            )
    return f"the checkpoint could not be loaded again: {type_name(error)}: {cleaned(str(error), 300)}"


def _unloadable_types(state: Any) -> str | None:
    """Returns the types in a state that cannot be loaded, empty if they are unknown; None if it can be loaded."""
    file = io.BytesIO()
    save_plain(state, file)
    try:
        load_plain(io.BytesIO(file.getvalue()), "cpu")
    except UnknownClass as error:
        return str(error)
    except Exception:  # see above
        import torch

        with plain_types_allowed():
            found = torch.serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(file.getvalue()))
        return ", ".join(sorted(found))
    return None
