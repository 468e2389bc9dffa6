"""Files of plain values for an installation without torch; where torch is installed, `torch.save` writes them.

They are pickles, but nothing in one is executed: only listed classes are found, and those written in Python are handed
out as functions, so that a file can change none of them.
"""

from __future__ import annotations

import pickle
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any

TORCH_START = b"PK"
"""First bytes of a file that `torch.save` wrote, a zip archive."""

BUILTINS = (bytearray, complex, frozenset, set)
"""Types that pickle itself creates by their names in some of its protocols."""

_PROTOCOL = 4  # the first with all sizes; later ones keep arrays in buffers beside the file


class UnknownClass(Exception):
    """A file names a class or a function that is not listed; the message is its name."""


def write_plain(value: object, file: IO[bytes]) -> None:
    """Writes a value.

    Raises:
        Exception: of any kind, if an object in it cannot be pickled.
    """
    pickle.dump(value, file, protocol=_PROTOCOL)


def read_plain(file: IO[bytes], allowed: Iterable[Any]) -> Any:
    """Reads a value that `write_plain` wrote.

    Args:
        file: an open file.
        allowed: classes and functions that may create values, besides those of containers.

    Raises:
        UnknownClass: if it names another class or function.
        Exception: of other kinds, if the file is damaged.
    """
    return _Reader(file, allowed).load()


def is_of_torch(file: Path | IO[bytes]) -> bool:
    """Whether `torch.save` wrote a file; an open file is then where it was."""
    if isinstance(file, Path):
        with file.open("rb") as opened:
            return is_of_torch(opened)
    at = file.tell()
    start = file.read(len(TORCH_START))
    file.seek(at)
    return start == TORCH_START


class _Reader(pickle.Unpickler):
    def __init__(self, file: IO[bytes], allowed: Iterable[Any]) -> None:
        super().__init__(file)
        known = (*BUILTINS, Counter, OrderedDict, *allowed)
        self._allowed = {(one.__module__, one.__qualname__): one for one in known}

    def find_class(self, module: str, name: str, /) -> Any:
        found = self._allowed.get((module, name))
        if found is None:
            raise UnknownClass(f"{module}.{name}")
        return _created_by(found) if _is_written_in_python(found) else found


def _is_written_in_python(found: Any) -> bool:
    return isinstance(found, type) and bool(found.__flags__ & _HEAP)


_HEAP = 1 << 9  # Py_TPFLAGS_HEAPTYPE: attributes of such a class can be set


def _created_by(found: type) -> Callable[..., Any]:
    return lambda *arguments: found(*arguments)
