"""SVG elements as text. Every text and every attribute is escaped here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

SHAPES = ("circle", "square", "diamond", "triangle", "cross", "star")
"""Shapes of marks by seed, so that nothing is encoded in color alone."""

COLORS = 7
"""Number of colors of seeds in the style sheet, `--seed-0` to `--seed-6`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One entry of a legend.

    Attributes:
        text: what the mark stands for.
        kind: classes of the mark in the style sheet.
        shape: shape of the mark: one of `SHAPES`, `line`, `dash`, or `area`.
    """

    text: str
    kind: str
    shape: str = "circle"

    @property
    def svg(self) -> str:
        """The mark of the entry as a small drawing."""
        if self.shape in ("line", "dash"):
            drawn = element("line", x1=0, x2=18, y1=7, y2=7, class_=f"line {self.kind}")
        elif self.shape == "area":
            drawn = element("rect", x=3, y=2, width=12, height=10, class_=f"bar {self.kind}")
        else:
            drawn = mark(self.shape, 9, 7, 5, self.kind)
        return f'<svg class="key" viewBox="0 0 18 14" width="18" height="14" aria-hidden="true">{drawn}</svg>'


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A figure with its text.

    Attributes:
        name: id of the figure on its page.
        title: what it shows.
        says: what is seen in it, as sentences; a reader who cannot see it has these.
        svg: the drawing as an SVG element.
        keys: entries of its legend, in order.
        wide: whether it takes two columns.
    """

    name: str
    title: str
    says: str
    svg: str
    keys: tuple[Key, ...] = ()
    wide: bool = False


def seed_kind(index: int) -> str:
    """Returns the class of a seed's marks and lines, the same in every figure.

    Args:
        index: place of the seed among the promotion's seeds.
    """
    return f"seed s{index % COLORS}"


def seed_shape(index: int) -> str:
    """Returns the shape of a seed's marks, the same in every figure.

    Args:
        index: place of the seed among the promotion's seeds.
    """
    return SHAPES[index % len(SHAPES)]


def element(tag: str, content: str = "", **attributes: object) -> str:
    """Returns an element.

    Args:
        tag: name of the element.
        content: SVG inside it, already escaped.
        attributes: values by name; `class_` stands for class, `_` in a name for a hyphen; None leaves one out.
    """
    named = [
        f' {name.rstrip("_").replace("_", "-") if name != "viewBox" else name}="{_value(value)}"'
        for name, value in attributes.items()
        if value is not None
    ]
    return f"<{tag}{''.join(named)}>{content}</{tag}>" if content else f"<{tag}{''.join(named)}/>"


def text(x: float, y: float, content: object, kind: str = "", anchor: str = "start", **attributes: object) -> str:
    """Returns a line of text.

    Args:
        x: horizontal position of its anchor.
        y: position of its base line.
        content: the text, not escaped yet.
        kind: classes in the style sheet.
        anchor: `start`, `middle` or `end` of the text is at `x`.
        attributes: further attributes by name.
    """
    named = {"x": x, "y": y, "class_": kind or None, "text_anchor": None if anchor == "start" else anchor}
    return element("text", escape(str(content)) or " ", **named, **attributes)


def mark(shape: str, x: float, y: float, size: float, kind: str, note: str = "", **attributes: object) -> str:
    """Returns a mark with a note that is shown when a pointer rests on it.

    Args:
        shape: one of `SHAPES`.
        x: horizontal position of its center.
        y: vertical position of its center.
        size: half of its width.
        kind: classes in the style sheet.
        note: text of the note; empty: none.
        attributes: further attributes by name.
    """
    content = element("title", escape(note)) if note else ""
    named = {"class_": f"point {kind}", **attributes}
    if shape == "circle":
        return element("circle", content, cx=x, cy=y, r=size, **named)
    return element("path", content, d=_outline(shape, x, y, size), **named)


def path(points: Sequence[tuple[float, float]], *, steps: bool = False) -> str:
    """Returns the outline of a line through points.

    Args:
        points: positions from left to right.
        steps: whether it goes horizontally to the next point, then vertically.
    """
    parts = []
    for index, (x, y) in enumerate(points):
        if index == 0:
            parts.append(f"M{_value(x)} {_value(y)}")
        else:
            parts.append(f"H{_value(x)}V{_value(y)}" if steps else f"L{_value(x)} {_value(y)}")
    return "".join(parts)


def svg(content: str, width: float, height: float, name: str) -> str:
    """Returns a drawing, which takes the width of what it stands in.

    Args:
        content: the elements in it.
        width: width of its coordinates.
        height: height of its coordinates.
        name: text for readers who cannot see it.
    """
    box = f"0 0 {_value(width)} {_value(height)}"
    return element("svg", content, viewBox=box, role="img", aria_label=name, class_="drawing")


def _outline(shape: str, x: float, y: float, size: float) -> str:
    units: dict[str, list[tuple[float, float]]] = {
        "square": [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
        "diamond": [(0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)],
        "triangle": [(0, -1.2), (1.15, 0.9), (-1.15, 0.9)],
        "cross": [
            (-1.1, -0.6), (-0.6, -1.1), (0, -0.5), (0.6, -1.1), (1.1, -0.6), (0.5, 0),
            (1.1, 0.6), (0.6, 1.1), (0, 0.5), (-0.6, 1.1), (-1.1, 0.6), (-0.5, 0),
        ],
        "star": [
            (0, -1.4), (0.4, -0.45), (1.35, -0.4), (0.6, 0.2), (0.85, 1.15),
            (0, 0.6), (-0.85, 1.15), (-0.6, 0.2), (-1.35, -0.4), (-0.4, -0.45),
        ],
    }  # fmt: skip
    return path([(x + size * across, y + size * down) for across, down in units[shape]]) + "Z"


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.1f}".removesuffix(".0")
    return escape(str(value))
