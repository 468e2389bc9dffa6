"""How the bench speaks: progress to stderr, tables to stdout."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.bench.arithmetic import Spread


@dataclass(frozen=True, slots=True)
class Target:
    """A number that is to be at most, or at least, another one.

    Attributes:
        name: of the number.
        found: what was measured.
        limit: what was wanted.
        most: whether the limit is the most, rather than the least.
        unit: of both.
    """

    name: str
    found: Spread
    limit: float
    most: bool = True
    unit: str = ""

    @property
    def met(self) -> bool:
        """Whether the median keeps to the limit."""
        return self.found.median <= self.limit if self.most else self.found.median >= self.limit

    def row(self) -> list[str]:
        """Returns a row of a table."""
        limit = f"{'<=' if self.most else '>='} {self.limit:g}{self.unit}"
        return [self.name, self.found.shown() + self.unit, limit, "met" if self.met else "MISSED"]


def say(message: str) -> None:
    """Prints progress."""
    print(message, file=sys.stderr, flush=True)


def table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Prints a table: the first column to the left, the others to the right."""
    lines = [list(heads), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    print(f"\n{title}")
    for line in lines:
        cells = [
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        print("  " + "  ".join(cells).rstrip())
    sys.stdout.flush()
