"""A command that trains, as a value, and how values are filled into its arguments."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from hpo.core.records import Value

_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What a study's `[command]` table says; see `hpo.study.command.CommandTable`.

    Attributes:
        run: arguments in groups; a group is left out where a param in it does not exist. Of a shell one text.
        shell: whether a shell runs the text.
        cwd: whether the program begins in its own folder or in the project's.
        metrics: regular expressions of last values by metric; empty: there are none.
        metrics_file: name of the file with metrics in the training's folder; None: they are printed.
        artifacts: globs of the files that are kept.
        resumable: whether the program goes on from what it finds in its folder.
        may_end_early: whether it may end before the last step of its budget.
        grace: seconds between SIGTERM and SIGKILL.
    """

    run: tuple[tuple[str, ...], ...]
    shell: bool = False
    cwd: Literal["folder", "project"] = "folder"
    metrics: Mapping[str, str] = field(default_factory=dict)
    metrics_file: str | None = None
    artifacts: tuple[str, ...] = ()
    resumable: bool = False
    may_end_early: bool = False
    grace: float = 10.0


def placeholders(text: str) -> list[str]:
    """Returns the names in braces; doubled braces are braces, and braces around anything else are left alone."""
    return [found[1] for found in _PLACEHOLDER.finditer(text) if found[1]]


def filled(text: str, values: Mapping[str, str]) -> str:
    """Returns a text with its placeholders replaced.

    Args:
        text: that has placeholders.
        values: what to put in their place, by name; a placeholder of another name stays as it is.
    """

    def value(found: re.Match[str]) -> str:
        return values.get(found[1], found[0]) if found[1] else found[0][0]

    return _PLACEHOLDER.sub(value, text)


def arguments(command: Command, values: Mapping[str, str]) -> Iterator[tuple[str, bool]]:
    """Yields the arguments with their placeholders replaced, each with whether it had none.

    Args:
        command: whose arguments they are.
        values: what to put in the place of each placeholder, by name.
    """
    if command.shell:
        quoted = {name: shlex.quote(value) for name, value in values.items()}
        yield from (("/bin/sh", False), ("-c", False), (filled(command.run[0][0], quoted), False))
        return
    for group in command.run:
        if all(name in values for argument in group for name in placeholders(argument)):
            yield from ((filled(argument, values), not placeholders(argument)) for argument in group)


def plain_text(value: Value) -> str:
    """Returns the value of a param as an argument: `true`, `16`, `0.001`; a float has all its digits."""
    return str(value).lower() if isinstance(value, bool) else str(value)
