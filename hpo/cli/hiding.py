"""Takes database URLs off the command line, which every user of the machine can read, and Ray keeps with its job."""

from __future__ import annotations

import os
import sys

VARIABLES = {"--storage": "HPO_STORAGE", "--from": "HPO_FROM"}
"""Options that may hold a password, and the environment variable that stands for each."""


def hide_urls() -> None:
    """Starts this process anew with the URLs in the environment, if they are on the command line and no plain file's.

    The process keeps its id. Nothing happens if the command line is not the process's own, as in a test.
    """
    own, arguments = sys.orig_argv, sys.argv[1:]
    if not arguments or own[-len(arguments) :] != arguments:
        return
    rest, urls = without_urls(arguments)
    if urls:
        os.environ.update(urls)
        os.execv(sys.executable, [*own[: -len(arguments)], *rest])


def without_urls(arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    """Returns the arguments without database servers' URLs, and these by their environment variable."""
    rest: list[str] = []
    urls: dict[str, str] = {}
    left = iter(arguments)
    for argument in left:
        name, equals, value = argument.partition("=")
        if argument == "--":
            return [*rest, argument, *left], urls
        if name not in VARIABLES:
            rest.append(argument)
            continue
        if not equals:
            value = next(left, "")
        if "://" in value and not value.startswith("sqlite"):
            urls[VARIABLES[name]] = value
        else:
            rest += [argument] if equals else [name, value]
    return rest, urls
