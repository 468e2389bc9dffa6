"""Takes a database URL off the command line, which every user of the machine can read, and Ray keeps with its job."""

from __future__ import annotations

import os
import sys

OPTION, VARIABLE = "--storage", "HPO_STORAGE"


def hide_storage() -> None:
    """Starts this process anew with the URL in the environment, if it is on the command line and not a plain file's.

    The process keeps its id. Nothing happens if the command line is not the process's own, as in a test.
    """
    own, arguments = sys.orig_argv, sys.argv[1:]
    if not arguments or own[-len(arguments) :] != arguments:
        return
    rest, url = without_storage(arguments)
    if url is not None:
        os.environ[VARIABLE] = url
        os.execv(sys.executable, [*own[: -len(arguments)], *rest])


def without_storage(arguments: list[str]) -> tuple[list[str], str | None]:
    """Returns the arguments without a database server's URL, and the URL; None: there is none among them."""
    rest: list[str] = []
    url = None
    left = iter(arguments)
    for argument in left:
        name, equals, value = argument.partition("=")
        if argument == "--":
            return [*rest, argument, *left], url
        if name != OPTION:
            rest.append(argument)
            continue
        if not equals:
            value = next(left, "")
        if "://" in value and not value.startswith("sqlite"):
            url = value
        else:
            rest += [argument] if equals else [OPTION, value]
    return rest, url
