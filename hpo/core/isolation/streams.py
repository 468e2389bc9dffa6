"""Standard output and error stay open for the driver, whatever user code closes.

A driver whose standard error is gone dies at its next line. Worse, the next file that is opened gets the number of a
closed descriptor: what is printed would then be written into it, be it the database.
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


MOST_LENT = 32
"""Streams that are remembered; a process has two, a test many."""


class Unclosable:
    """A stream that user code writes to and cannot close; everything else is the stream's own.

    Args:
        stream: text or bytes.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    @property
    def buffer(self) -> Unclosable:
        """The stream of bytes below one of text."""
        return Unclosable(self._stream.buffer)

    def close(self) -> None:
        """Writes out what is held back; the stream stays open."""
        self._stream.flush()

    def detach(self) -> None:
        """Refuses: the stream would be of no use to anybody else."""
        raise io.UnsupportedOperation("a standard stream cannot be detached within a training")

    def __enter__(self) -> Unclosable:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


_lent: deque[tuple[Any, Unclosable]] = deque(maxlen=MOST_LENT)
"""By stream. They outlast the block: a thread of user code that prints just then has no hold of what it prints to."""


def _unclosable(stream: Any) -> Unclosable:
    for known, lent in _lent:
        if known is stream:
            return lent
    _lent.append((stream, lent := Unclosable(stream)))
    return lent


@contextmanager
def kept_streams() -> Iterator[None]:
    """Lends user code the standard streams, and puts back what it closed or changed of their descriptors."""
    kept = {number: _copied(number) for number in DESCRIPTORS}
    for name in ("stdout", "stderr"):
        if (stream := getattr(sys, name)) is not None:
            setattr(sys, name, _unclosable(stream))
    try:
        yield
    finally:
        for name in ("stdout", "stderr"):  # a stream of the code's own is left to it
            stream = getattr(sys, name, None)
            while isinstance(stream, Unclosable):
                stream = stream._stream
                setattr(sys, name, stream)
        for number, copy in kept.items():
            _put_back(number, copy)


def _copied(number: int) -> tuple[int, tuple[int, int]] | None:
    """Returns another descriptor of the same file and what tells the file; None where there is none."""
    try:
        mark = os.fstat(number)
        return fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 3), (mark.st_dev, mark.st_ino)
    except OSError:
        return None


def _put_back(number: int, copy: tuple[int, tuple[int, int]] | None) -> None:
    if copy is None:
        return
    other, mark = copy
    with suppress(OSError):  # code that closes every descriptor closes the copy too
        try:
            found = os.fstat(number)
            changed = (found.st_dev, found.st_ino) != mark
        except OSError:
            changed = True
        if changed:
            os.dup2(other, number)
    with suppress(OSError):
        os.close(other)
