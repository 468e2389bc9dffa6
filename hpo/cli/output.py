"""Printing to stdout."""

from __future__ import annotations

import io
import json
import os
import sys

from rich.console import Console, RenderableType

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


def print_text(what: RenderableType) -> None:
    """Prints text or a table for people."""
    # A terminal breaks a line that is too long; a number that was cut to fit would be wrong.
    Console(width=max(Console().width, WIDEST)).print(
        what, highlight=False, markup=False, soft_wrap=isinstance(what, str)
    )


def print_json(value: object) -> None:
    """Prints one JSON value."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=str) + "\n")
