"""Keeps standard output and error open for the driver, even if user code closes them.

Without standard error, the driver fails at its next line. Worse, the next opened file gets the number of the closed
descriptor, and printed text would be written into it, even into the database.
"""

from __future__ import annotations

import fcntl
import io
import os
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any

DESCRIPTORS = (0, 1, 2)
"""Standard input, output and error."""


MAX_STREAMS = 32
"""Maximum number of remembered streams; a process has two, a test many."""


class Unclosable:
    """Wraps a stream so that user code cannot close it; everything else is passed through.

    Args:
        stream: a text or byte stream.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    @property
    def buffer(self) -> Unclosable:
        """The byte stream below a text stream."""
        return Unclosable(self._stream.buffer)

    def close(self) -> None:
        """Flushes the stream, which stays open."""
        self._stream.flush()

    def detach(self) -> None:
        """Refuses, because the driver could not use the stream afterwards."""
        raise io.UnsupportedOperation("a standard stream cannot be detached within a training")

    def __enter__(self) -> Unclosable:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


_wrappers: deque[tuple[Any, Unclosable]] = deque(maxlen=MAX_STREAMS)
"""Wrappers by stream. They outlive the block, because a thread that is printing holds no reference to its stream."""


def _wrapped(stream: Any) -> Unclosable:
    for known, lent in _wrappers:
        if known is stream:
            return lent
    _wrappers.append((stream, lent := Unclosable(stream)))
    return lent


@contextmanager
def protect_streams() -> Iterator[None]:
    """Wraps the standard streams for user code, and restores descriptors that it closed or replaced."""
    kept = {number: _copied(number) for number in DESCRIPTORS}
    for name in ("stdout", "stderr"):
        if (stream := getattr(sys, name)) is not None:
            setattr(sys, name, _wrapped(stream))
    try:
        yield
    finally:
        for name in ("stdout", "stderr"):  # a stream that user code set is left alone
            stream = getattr(sys, name, None)
            while isinstance(stream, Unclosable):
                stream = stream._stream
                setattr(sys, name, stream)
        for number, copy in kept.items():
            _put_back(number, copy)


def _copied(number: int) -> tuple[int, tuple[int, int]] | None:
    """Returns a duplicate descriptor and the identity of its file; None if the descriptor is closed."""
    try:
        mark = os.fstat(number)
        return fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 3), (mark.st_dev, mark.st_ino)
    except OSError:
        return None


def _put_back(number: int, copy: tuple[int, tuple[int, int]] | None) -> None:
    if copy is None:
        return
    other, mark = copy
    with suppress(OSError):  # code that closes all descriptors closes the copy too
        try:
            found = os.fstat(number)
            changed = (found.st_dev, found.st_ino) != mark
        except OSError:
            changed = True
        if changed:
            os.dup2(other, number)
    with suppress(OSError):
        os.close(other)
