"""Fits texts and tables to the width of a terminal: lines break between words, and numbers and commands stay whole."""

from __future__ import annotations

import re

from hpo.core.shown import Dim, Grid

COMMAND = re.compile(r"(?<=: )(?:hpo|tensorboard|pip) .*$|^ +\S.*$")
"""The end of a line that is to be copied whole: a command, or a line that is set apart."""

BREAK = re.compile(r"(?<!=)(?<!±)(?<!\.\.) (?![%=±]|\.\.)")
"""A space at which a line may break: not one inside `n = 3`, `95 %` or `0.1 .. 0.2`."""


def wrapped(text: str, width: int) -> str:
    """Returns a text whose lines break between words; a command at the end of a line stays in one line.

    Args:
        text: one or more lines.
        width: number of characters of a line.
    """
    return "\n".join(piece for line in text.split("\n") for piece in _lines(line, width))


def _lines(line: str, width: int) -> list[str]:
    if len(line) <= width:
        return [line]
    whole = COMMAND.search(line)
    head = line if whole is None else line[: whole.start()]
    words = BREAK.split(head) if whole is None else [*BREAK.split(head.rstrip()), whole.group()]
    lines = [words[0]] if words else []
    for word in words[1:]:
        if len(lines[-1]) + 1 + len(word) > width:
            lines.append(word)
        else:
            lines[-1] += f" {word}"
    return [one for one in lines if one]


def fitted(grid: Grid, width: int) -> list[str | Grid]:
    """Returns a table as one or more tables that fit, with a note on the columns that were left out.

    Args:
        grid: the whole table.
        width: number of characters of a line.
    """
    tables, lacking = grid.fitted(width)
    blocks: list[str | Grid] = list(tables)
    if lacking:
        blocks.append(Dim(f"left out here: {', '.join(lacking)}; a width of {grid.width} characters shows them"))
    return blocks
