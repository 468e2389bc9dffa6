"""The table of trainings that a terminal shows while they run, and the lines that are printed above it."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import TextIO

from rich.console import Console
from rich.text import Text


class LinesAbove(io.TextIOBase):
    """A text stream whose whole lines are printed above a live table.

    A library may keep it, and write to it after the table is gone: then it passes everything on.

    Args:
        console: the console of the live table.
        stream: the stream that it stands for.
    """

    def __init__(self, console: Console, stream: TextIO) -> None:
        self._console = console
        self._stream = stream
        self._begun = ""
        self._is_live = True

    def write(self, text: str) -> int:
        if not self._is_live:
            return self._stream.write(text)
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._print(line)
        return len(text)

    def flush(self) -> None:
        if not self._is_live:
            self._stream.flush()

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return self._stream.isatty()

    @property
    def encoding(self) -> str:  # type: ignore[override]  # an attribute there
        return self._stream.encoding

    @property
    def rich_proxied_file(self) -> TextIO:
        """The stream that rich's consoles write to; they would print above themselves otherwise."""
        return self._stream

    def end(self) -> None:
        """Prints what has no end of line yet; from here on everything is passed on."""
        self._is_live = False
        if Text.from_ansi(self._begun).plain.strip():
            self._print(self._begun)
        self._begun = ""

    def _print(self, line: str) -> None:
        shown = line.rstrip("\r").rpartition("\r")[2]  # the last state of a progress bar
        self._console.print(Text.from_ansi(shown), highlight=False, markup=False, soft_wrap=True)


@contextmanager
def lines_above(console: Console) -> Iterator[None]:
    """Prints whatever is written to stdout or stderr above the console's live table, until the block ends."""
    streams = [LinesAbove(console, stream) for stream in (sys.stdout, sys.stderr)]
    with redirect_stdout(streams[0]), redirect_stderr(streams[1]):
        try:
            yield
        finally:
            for stream in streams:
                stream.end()


class TrialGrid:
    """Makes a table of trainings that fits a terminal: whole columns, as many params as there is room for.

    Args:
        columns: names of the columns that are always shown.
        params: width of the widest value of each param, by name; 0: unknown.
    """

    def __init__(self, columns: Sequence[str], params: Mapping[str, int]) -> None:
        self._columns = columns
        self._params = [*params]
        self._left = {"state", "epoch", *params}
        self._widths = [*map(len, columns), *(max(width, len(name)) for name, width in params.items())]

    def text(self, rows: Sequence[tuple[Sequence[str], Callable[[str], str]]], width: int) -> Text:
        """Returns the table; a column that has been wide stays so, because otherwise the table would jump.

        Args:
            rows: texts of the columns, and what gives the text of each param.
            width: of the terminal, in characters.
        """
        cells = [[*fixed, *map(of_param, self._params)] for fixed, of_param in rows]
        names = [*self._columns, *self._params]
        self._widths = [max(one) for one in zip(self._widths, *([*map(len, row)] for row in cells), strict=True)]
        widths = self._widths
        shown, lacking = self._fitting(widths, width)
        lines = []
        for row in (names, *cells):
            parts = [
                row[place].ljust(widths[place]) if names[place] in self._left else row[place].rjust(widths[place])
                for place in shown
            ]
            lines.append("  ".join(parts).rstrip())
        more = f"  +{lacking} params" if lacking else ""
        head = Text(lines[0] + more, style="dim", no_wrap=True, overflow="ellipsis")
        return Text("\n").join([head, *(Text(line) for line in lines[1:])])

    def _fitting(self, widths: Sequence[int], width: int) -> tuple[list[int], int]:
        """Returns the places of the columns that fit, and the number of params that do not."""
        fixed = len(self._columns)
        shown = list(range(fixed))
        used = sum(widths[:fixed]) + 2 * (fixed - 1)
        for count, place in enumerate(range(fixed, len(widths))):
            left = len(self._params) - count - 1
            more = len(f"  +{left} params") if left else 0
            if used + 2 + widths[place] + more > width:
                return shown, left + 1
            shown.append(place)
            used += 2 + widths[place]
        return shown, 0
