"""What may be in a state_dict: values that a checkpoint gives back as they were, and nothing that would be executed."""

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

# torch is imported where it is used: a trainable without epochs needs none.

PLAIN_TYPES = (
    *(frozenset, slice, range),
    *(dt.date, dt.datetime, dt.time, dt.timedelta, dt.timezone, Decimal, Fraction),
    *(pathlib.PurePosixPath, pathlib.PureWindowsPath, pathlib.PosixPath, pathlib.WindowsPath),
)
"""Beside those that torch allows itself; each is made of plain values and does nothing else."""

MAY_HOLD = "tensors, NumPy values, numbers, texts, dates, paths, and lists, tuples, dicts and sets of them"


@contextmanager
def only_plain() -> Iterator[None]:
    """Lets `torch.load(weights_only=True)` make NumPy's values and `PLAIN_TYPES` too, until the block ends."""
    import torch

    # The names under which NumPy's values are pickled; no public module has them.
    core, numeric = import_module("numpy._core.multiarray"), import_module("numpy._core.numeric")
    makers = (core.scalar, core._reconstruct, np.ndarray, np.dtype, numeric._frombuffer)
    dtypes = (getattr(np.dtypes, name) for name in np.dtypes.__all__)
    with torch.serialization.safe_globals([*makers, *dtypes, *PLAIN_TYPES]):
        yield


def load_plain(file: Path | IO[bytes], device: str) -> Any:
    """Returns what `torch.save` wrote; nothing in it is executed.

    Raises:
        Exception: of a dozen kinds, if it is damaged or holds something else.
    """
    import torch

    with only_plain():
        return torch.load(file, map_location=device, weights_only=True)


def refuse_unreadable(path: Path, states: Mapping[str, Any]) -> None:
    """Raises where a file that was just written could not be read back.

    Only what describes the tensors is read, not their values: a few milliseconds, however large the file.

    Args:
        path: what `torch.save` wrote.
        states: the state dicts in it by name, for the message.

    Raises:
        TrainableError: if something in it is of a type that is not made again from a file.
    """
    try:
        load_plain(path, "meta")
    except Exception:  # torch raises a dozen kinds; some kinds of tensors cannot be without their values
        try:
            load_plain(path, "cpu")
        except Exception as error:  # code of others may raise anything
            raise TrainableError(_unreadable(states, error)) from error


def unsavable(error: Exception) -> TrainableError:
    """Returns the sentence on a state that `torch.save` refused."""
    return TrainableError(
        "the state that ctx.epochs() or ctx.report() was given cannot be saved in a checkpoint: "
        f"{cleaned(str(error), 300)}; a state_dict may hold {MAY_HOLD}"
    )


def _unreadable(states: Mapping[str, Any], error: Exception) -> str:
    for name, state in states.items():
        if (culprits := _culprits(state)) is not None:
            held = f"it holds {culprits}" if culprits else f"{type_name(error)}: {cleaned(str(error), 300)}"
            return (
                f"the state of {name!r} that ctx.epochs() or ctx.report() was given could not be read back from a "
                f"checkpoint: {held}; a state_dict may hold {MAY_HOLD}"
            )
    return f"the checkpoint could not be read back: {type_name(error)}: {cleaned(str(error), 300)}"


def _culprits(state: Any) -> str | None:
    """Returns the types in a state that are not made again, empty if they cannot be told; None: it is sound."""
    import torch

    file = io.BytesIO()
    torch.save(state, file)
    try:
        load_plain(io.BytesIO(file.getvalue()), "cpu")
    except Exception:  # see above
        with only_plain():
            found = torch.serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(file.getvalue()))
        return ", ".join(sorted(found))
    return None
