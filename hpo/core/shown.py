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
    """

    def __init__(self, *columns: str, left: Sequence[str] = ()) -> None:
        self.columns = columns
        self.left = frozenset(left)
        self.rows: list[tuple[str, ...]] = []

    def add_row(self, *cells: str) -> None:
        """Adds a row with a text for each column."""
        self.rows.append(cells)

    def __str__(self) -> str:
        widths = [max(map(len, column)) for column in zip(self.columns, *self.rows, strict=True)]
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
