"""Printing to stdout."""

from __future__ import annotations

import io
import json
import os
import sys

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from hpo.core.shown import Dim, Grid, Page

WIDEST = 200
"""Largest width of a table in characters."""


def keep_stdout_for_data() -> None:
    """Lets nothing but what this module and the command line's help print reach stdout.

    A child process, or native code, writes to file descriptor 1 and not to `sys.stdout`. From here on that descriptor
    leads to stderr, and `sys.stdout` to where it led before. Nothing happens where `sys.stdout` is not the process's
    own, as in a test.
    """
    stdout = sys.stdout
    if stdout is not sys.__stdout__ or not isinstance(stdout, io.TextIOWrapper) or sys.stderr is None:
        return
    try:
        own, errors = stdout.fileno(), sys.stderr.fileno()
        stdout.flush()
        data = os.dup(own)  # not inherited by child processes
        os.dup2(errors, own)
    except (OSError, ValueError):  # one of them is closed
        return
    sys.stdout = io.TextIOWrapper(
        os.fdopen(data, "wb"),
        encoding=stdout.encoding,
        errors="backslashreplace",  # a file name need not be valid UTF-8
        line_buffering=stdout.line_buffering,
    )


def print_text(what: RenderableType | Page) -> None:
    """Prints text, a table or an outcome for people."""
    if isinstance(what, Page):
        for block in what.blocks:
            print_text(_rendered(block))
        return
    # A terminal breaks a line that is too long; a number that was cut to fit would be wrong.
    Console(width=max(Console().width, WIDEST)).print(
        what, highlight=False, markup=False, soft_wrap=isinstance(what, str)
    )


def _rendered(block: str | Grid) -> RenderableType:
    """Returns a block of a page as rich prints it: dimmed notes, bold warnings and heads of tables."""
    if isinstance(block, str):
        style = "dim" if isinstance(block, Dim) else "bold" if block.startswith("! ") else ""
        return Text(block, style=style, no_wrap=True, overflow="ignore") if style else block
    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in block.columns:
        made.add_column(column, justify="left" if column in block.left else "right", no_wrap=True)
    for row in block.rows:
        made.add_row(*map(Text, row))
    return made


def print_json(value: object) -> None:
    """Prints one JSON value."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=str) + "\n")
