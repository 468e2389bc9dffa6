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
from hpo.core.texts import cleaned, type_name

# torch is imported inside functions, because a trainable without epochs does not need it.

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

    # NumPy pickles its values under these names, which no public module has.
    core, numeric = import_module("numpy._core.multiarray"), import_module("numpy._core.numeric")
    constructors = (core.scalar, core._reconstruct, np.ndarray, np.dtype, numeric._frombuffer)
    dtypes = (getattr(np.dtypes, name) for name in np.dtypes.__all__)
    with torch.serialization.safe_globals([*constructors, *dtypes, *PLAIN_TYPES]):
        yield


def load_plain(file: Path | IO[bytes], device: str) -> Any:
    """Loads a file that `torch.save` wrote; nothing in it is executed.

    Args:
        file: path of the file, or an open file.
        device: device of the tensors: `cpu`, `cuda` or `meta`.

    Raises:
        Exception: one of a dozen kinds, if the file is damaged or holds other objects.
    """
    import torch

    with plain_types_allowed():
        return torch.load(file, map_location=device, weights_only=True)


def check_loadable(path: Path, states: Mapping[str, Any]) -> None:
    """Checks that a file that was just written can be loaded again.

    It reads the descriptions of the tensors without their values: a few milliseconds for any size.

    Args:
        path: file that `torch.save` wrote.
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
    """Returns the error for a state that `torch.save` cannot save."""
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
    import torch

    file = io.BytesIO()
    torch.save(state, file)
    try:
        load_plain(io.BytesIO(file.getvalue()), "cpu")
    except Exception:  # see above
        with plain_types_allowed():
            found = torch.serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(file.getvalue()))
        return ", ".join(sorted(found))
    return None
