"""A figure with two axes: marks, lines, bars and labels in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from hpo.core.records import Value
from hpo.figures.svg.canvas import element, mark, path, svg, text
from hpo.figures.svg.scales import Scale

NARROW = 400
"""Width of a figure of one column, in the units of its drawing, which are about pixels."""

WIDE = 824
"""Width of a figure of two columns."""

LETTER = 6.4
"""Width of a letter of a label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """An axis.

    Attributes:
        scale: where values lie on it.
        label: text of the axis; empty: none.
        count: about how many values are labeled.
    """

    scale: Scale
    label: str = ""
    count: int = 5


class Plot:
    """A figure that elements are added to.

    Args:
        x: the horizontal axis.
        y: the vertical axis.
        width: width of the figure.
        height: height of the figure.
        right: room for labels at the right.
        bare: whether the axes themselves are left out.
    """

    def __init__(
        self,
        x: Axis,
        y: Axis,
        *,
        width: float = NARROW,
        height: float = 250,
        right: float = 12,
        bare: bool = False,
    ) -> None:
        self._x, self._y = x, y
        ticks = [] if bare else y.scale.ticks(y.count)
        self._left = 12 + LETTER * max((len(name) for _, name in ticks), default=0) + (16 if y.label else 0)
        self._right, self._top, self._bottom = width - right, 10.0, height - (42 if x.label else 24)
        self._width, self._height = width, height
        self._elements = [] if bare else [*self._frame(ticks)]

    def place(self, x: Value, y: Value) -> tuple[float, float]:
        """Returns the position of a point of the two axes."""
        across, up = self._x.scale.place(x), self._y.scale.place(y)
        return (
            self._left + across * (self._right - self._left),
            self._bottom - up * (self._bottom - self._top),
        )

    def add_mark(
        self,
        x: Value,
        y: Value,
        kind: str,
        note: str = "",
        *,
        shape: str = "circle",
        size: float = 4,
        trial: int | None = None,
    ) -> None:
        """Adds a mark; with its trial it is highlighted where that is pointed at."""
        self._elements.append(mark(shape, *self.place(x, y), size, kind, note, data_trial=trial))

    def add_points(self, points: Iterable[tuple[Value, Value]], kind: str) -> None:
        """Adds many marks without notes as one element, which takes a tenth of the room."""
        places = (self.place(x, y) for x, y in points)
        outline = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in places)
        if outline:
            self._elements.append(element("path", d=outline, class_=f"points {kind}"))

    def add_line(
        self,
        points: Iterable[tuple[Value, Value]],
        kind: str,
        note: str = "",
        *,
        steps: bool = False,
        trial: int | None = None,
    ) -> None:
        """Adds a line through points; with its trial it is highlighted where that is pointed at."""
        content = element("title", text_of(note)) if note else ""
        outline = path([self.place(x, y) for x, y in points], steps=steps)
        self._elements.append(element("path", content, d=outline, class_=f"line {kind}", data_trial=trial))

    def add_span(
        self, start: tuple[Value, Value], end: tuple[Value, Value], kind: str, trial: int | None = None
    ) -> None:
        """Adds a straight line from one point to another."""
        (x1, y1), (x2, y2) = self.place(*start), self.place(*end)
        self._elements.append(element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=f"line {kind}", data_trial=trial))

    def add_bar(self, start: Value, end: Value, y: Value, kind: str, note: str = "", *, thick: float = 14) -> None:
        """Adds a horizontal bar at a place of the vertical axis."""
        (x1, middle), (x2, _) = self.place(start, y), self.place(end, y)
        content = element("title", text_of(note)) if note else ""
        box = {"x": min(x1, x2), "y": middle - thick / 2, "width": max(abs(x2 - x1), 1.0), "height": thick}
        self._elements.append(element("rect", content, **box, class_=f"bar {kind}"))

    def add_text(
        self,
        x: Value,
        y: Value,
        content: str,
        kind: str = "",
        *,
        anchor: str = "start",
        move: tuple[float, float] = (6, 4),
    ) -> None:
        """Adds a text near a point; `move` is its distance to the point in the drawing's units."""
        across, down = self.place(x, y)
        self._elements.append(text(across + move[0], down + move[1], content, kind, anchor))

    def add_names(self, names: Iterable[tuple[Value, str]]) -> None:
        """Adds texts below the horizontal axis, in place of labeled values."""
        for x, name in names:
            across = self._left + self._x.scale.place(x) * (self._right - self._left)
            self._elements.append(text(across, self._bottom + 18, name, "label", "middle"))

    def svg(self, name: str) -> str:
        """Returns the drawing.

        Args:
            name: text for readers who cannot see it.
        """
        return svg("".join(self._elements), self._width, self._height, name)

    def _frame(self, ticks: Sequence[tuple[float, str]]) -> Iterable[str]:
        left, right, top, bottom = self._left, self._right, self._top, self._bottom
        for share, name in ticks:
            y = bottom - share * (bottom - top)
            yield element("line", x1=left, x2=right, y1=y, y2=y, class_="grid")
            yield text(left - 6, y + 4, name, "tick", "end")
        yield element("line", x1=left, x2=right, y1=bottom, y2=bottom, class_="axis")
        end = -1e9
        for share, name in self._x.scale.ticks(self._x.count):
            x, half = left + share * (right - left), LETTER * len(name) / 2
            yield element("line", x1=x, x2=x, y1=bottom, y2=bottom + 4, class_="axis")
            if x - half > end + 4:  # labels must not overlap
                shift = min(0.0, self._width - 2 - (x + half))
                yield text(x + shift, bottom + 16, name, "tick", "middle")
                end = x + half
        if self._x.label:
            yield text((left + right) / 2, self._height - 6, self._x.label, "label", "middle")
        if self._y.label:
            middle = (top + bottom) / 2
            turn = f"rotate(-90 12 {middle:.1f})"
            yield text(12, middle, self._y.label, "label", "middle", transform=turn)


def text_of(note: object) -> str:
    """Returns a note, escaped."""
    return escape(str(note))
