"""Printing to stdout."""

from __future__ import annotations

import io
import json
import os
import sys

from rich.console import Console
from rich.text import Text

from hpo.cli.fitting import fitted, wrapped
from hpo.core.shown import Dim, Grid, Page


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


def print_text(what: str | Grid | Page) -> None:
    """Prints text, a table or an outcome for people, fitted to the terminal."""
    blocks = what.blocks if isinstance(what, Page) else [what]
    console, width = Console(), line_width()
    for block in blocks:
        parts = [block] if width is None or isinstance(block, str) else fitted(block, width)
        for part in parts:
            console.print(_rendered(part, width), highlight=False, markup=False, soft_wrap=True)


def line_width() -> int | None:
    """Returns the width of the terminal, or of COLUMNS; None where output goes to a file or a program."""
    console = Console()
    return console.width if console.is_terminal or os.environ.get("COLUMNS", "").isdecimal() else None


def _rendered(block: str | Grid, width: int | None) -> Text:
    """Returns a block of a page as rich prints it: dimmed notes, bold warnings and heads of tables."""
    if isinstance(block, Grid):
        head, *rows = str(block).split("\n")
        return Text("\n").join([Text(head, style="bold"), *map(Text, rows)])
    style = "dim" if isinstance(block, Dim) else "bold" if block.startswith("! ") else ""
    return Text(block if width is None else wrapped(block, width), style=style)


def print_json(value: object) -> None:
    """Prints one JSON value."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=str) + "\n")
