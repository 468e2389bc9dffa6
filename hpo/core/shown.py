"""What outcomes look like: lines and tables, printed in a terminal or shown in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

GAP = "  "
"""Between two columns of a table."""


class Dim(str):
    """Lines that explain what stands above them; a terminal shows them dimmed."""

    __slots__ = ()


class Grid:
    """A table of texts.

    Args:
        columns: names of the columns.
        left: names of the columns that are aligned to the left; the others are aligned to the right.
        keys: number of columns, from the left, that say what a row is.
        spare: groups of columns that may be left out where there is little room, the most important group first.
        below: names of columns that are shown below the others where there is little room.
    """

    def __init__(
        self,
        *columns: str,
        left: Sequence[str] = (),
        keys: int = 1,
        spare: Sequence[Sequence[str]] = (),
        below: Sequence[str] = (),
    ) -> None:
        self.columns = columns
        self.left = frozenset(left)
        self.rows: list[tuple[str, ...]] = []
        self._keys = keys
        self._spare = spare
        self._below = frozenset(below)

    def add_row(self, *cells: str) -> None:
        """Adds a row with a text for each column."""
        self.rows.append(cells)

    @property
    def width(self) -> int:
        """Number of characters of the whole table in a line."""
        return self._width_of(range(len(self.columns)))

    def fitted(self, width: int) -> tuple[list[Grid], list[str]]:
        """Returns the table as one or more tables of at most this width, and the names of columns that were left out.

        Cells stay whole: a table whose keys and one more column are wider than this stays wider.

        Args:
            width: number of characters of a line.
        """
        if self.width <= width:
            return [self], []
        places = range(len(self.columns))
        below = [place for place in places if self.columns[place] in self._below]
        groups = [[place for place in places if self.columns[place] in names] for names in self._spare]
        spare = {place for group in groups for place in group}
        shown = [place for place in places if place not in spare and place not in below]
        for group in groups:
            wider = sorted([*shown, *group])
            shown = wider if self._width_of(wider) <= width else shown
        lacking = [self.columns[place] for place in places if place not in shown and place not in below]
        parts = [part for some in (shown, below) for part in self._parts(some, width)] or [[*range(self._keys)]]
        return [self._part(part) for part in parts], lacking

    def _parts(self, places: Sequence[int], width: int) -> list[list[int]]:
        """Returns columns in groups that are no wider than `width`, each after the keys."""
        keys = list(range(self._keys))
        parts = [list(keys)]
        for place in (one for one in places if one >= self._keys):
            if parts[-1] != keys and self._width_of([*parts[-1], place]) > width:
                parts.append(list(keys))
            parts[-1].append(place)
        return [part for part in parts if part != keys]

    def _part(self, places: Sequence[int]) -> Grid:
        made = Grid(*[self.columns[place] for place in places], left=tuple(self.left), keys=self._keys)
        made.rows = [tuple(row[place] for place in places) for row in self.rows]
        return made

    def _widths(self) -> list[int]:
        return [max(map(len, column)) for column in zip(self.columns, *self.rows, strict=True)]

    def _width_of(self, places: Sequence[int]) -> int:
        widths = self._widths()
        return sum(widths[place] for place in places) + len(GAP) * max(len(places) - 1, 0)

    def __str__(self) -> str:
        widths = self._widths()
        lines = []
        for row in (self.columns, *self.rows):
            cells = zip(self.columns, row, widths, strict=True)
            aligned = (cell.ljust(width) if name in self.left else cell.rjust(width) for name, cell, width in cells)
            lines.append(GAP.join(aligned).rstrip())
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        def line(cells: Sequence[str], tag: str) -> str:
            aligned = ("left" if name in self.left else "right" for name in self.columns)
            pairs = zip(cells, aligned, strict=True)
            return "".join(f'<{tag} style="text-align: {side}">{escape(cell)}</{tag}>' for cell, side in pairs)

        body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in self.rows)
        return f"<table><thead><tr>{line(self.columns, 'th')}</tr></thead><tbody>{body}</tbody></table>"


class Page:
    """Lines and tables, one below the other.

    Args:
        blocks: texts of one or more lines, and tables; empty texts are left out.
    """

    def __init__(self, blocks: Iterable[str | Grid]) -> None:
        self.blocks = [block for block in blocks if block != ""]

    def __str__(self) -> str:
        return "\n".join(map(str, self.blocks))

    def _repr_html_(self) -> str:
        return "".join(
            block._repr_html_() if isinstance(block, Grid) else f'<p style="white-space: pre-wrap">{escape(block)}</p>'
            for block in self.blocks
        )


class Shown:
    """An outcome that says what it is when it is printed, or is the last value of a notebook's cell.

    A dataclass of this kind needs `repr=False`, so that its `repr` is one line and not all of its fields.
    """

    __slots__ = ()

    def _headline(self) -> str:
        """Returns in a few words what it is, for its `repr`."""
        raise NotImplementedError

    def page(self) -> Page:
        """Returns what is printed."""
        raise NotImplementedError

    def rows(self) -> list[dict[str, object]]:
        """Returns the rows of the outcome's table as plain values."""
        raise NotImplementedError

    def frame(self) -> pd.DataFrame:
        """Returns the outcome's table as a pandas DataFrame."""
        import pandas as pd

        return pd.DataFrame(self.rows())

    def figure(self) -> Any:
        """Returns the outcome's figure as a plotly figure."""
        raise NotImplementedError

    def plot(self) -> Any:
        """Returns the same as `figure`: a plotly figure, which a notebook draws."""
        return self.figure()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._headline()}>"

    def __str__(self) -> str:
        return str(self.page())

    def _repr_html_(self) -> str:
        return self.page()._repr_html_()
