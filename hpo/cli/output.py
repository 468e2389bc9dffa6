"""How a command prints on stdout."""

from __future__ import annotations

import json
import sys

from rich.console import Console, RenderableType

WIDEST = 200
"""Characters that a table may take."""


def print_text(what: RenderableType) -> None:
    """Prints something for people."""
    # A terminal breaks a line that is too long; a number that was cut to fit would be wrong.
    Console(width=max(Console().width, WIDEST)).print(
        what, highlight=False, markup=False, soft_wrap=isinstance(what, str)
    )


def print_json(value: object) -> None:
    """Prints one JSON value."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=str) + "\n")
