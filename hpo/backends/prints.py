"""What a training prints: it goes to the training's log, and from a worker to the driver, where somebody looks."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import TextIO

MOST_LINES = 50
"""Lines that are sent to the driver with one result; the log has them all."""

LONGEST_LINE = 2000
"""Characters of a line."""

CODES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
"""Codes that a terminal takes for colors and movements; a log has no use for them."""


class Prints(io.TextIOBase):
    """A text stream that keeps whole lines, and passes everything on to the process's own.

    One stream lasts as long as its worker, because a module keeps the one that it finds when it is imported. Of a line
    that is written over, as progress bars do, the last state is kept.

    Args:
        stream: of the process.
        keep: called with each line.
    """

    def __init__(self, stream: TextIO, keep: Callable[[str], None]) -> None:
        self._stream = stream
        self._keep = keep
        self._begun = ""

    def write(self, text: str) -> int:
        self._stream.write(text)
        *lines, self._begun = (self._begun + text).split("\n")
        self._begun = self._begun[self._begun.rstrip("\r").rfind("\r") + 1 :]  # the rest was written over
        if len(self._begun) > LONGEST_LINE:
            lines, self._begun = [*lines, self._begun], ""
        for line in map(_last_state, lines):
            if line.strip():
                self._keep(line[:LONGEST_LINE])
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return self._stream.isatty()

    @property
    def encoding(self) -> str:  # type: ignore[override]  # an attribute there
        return self._stream.encoding


class WorkerPrints:
    """Stdout and stderr of a process while user code runs in it.

    Attributes:
        log: called with each line; of the training that runs, None: there is none.
    """

    def __init__(self) -> None:
        self.log: Callable[[str], None] | None = None
        self._lines: list[str] = []
        self._more = 0
        self._streams = Prints(sys.stdout, self._keep), Prints(sys.stderr, self._keep)

    @contextmanager
    def captured(self) -> Iterator[None]:
        """Keeps what is printed until the block ends."""
        with redirect_stdout(self._streams[0]), redirect_stderr(self._streams[1]):
            yield

    def taken(self) -> tuple[str, ...]:
        """Returns the lines since the last call, the first of them if there were very many."""
        lines, more = self._lines, self._more
        self._lines, self._more = [], 0
        return (*lines, f"... and {more} lines more") if more else tuple(lines)

    def _keep(self, line: str) -> None:
        if self.log is not None:
            self.log(line)
        if len(self._lines) < MOST_LINES:
            self._lines.append(line)
        else:
            self._more += 1


def _last_state(line: str) -> str:
    """Returns what a terminal shows of a line that carriage returns write over, without colors; its end may be one."""
    line = CODES.sub("", line)
    begun, _, last = line.rstrip("\r").rpartition("\r")
    return last or begun.rpartition("\r")[2]
