"""Keeps secrets off the command line, which every user of the machine can read, and out of tracebacks."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from types import TracebackType

from hpo.core.redaction import holds_secret, known_secrets, redacted

VARIABLES = {
    "--storage": "HPO_STORAGE",
    "--from": "HPO_FROM",
    "--workdir": "HPO_WORKDIR",
    "--ray-address": "RAY_ADDRESS",
    "--jobs-address": "RAY_API_SERVER_ADDRESS",
}
"""Options that may hold a password, and the environment variable that stands for each."""

SERVERS = ("--storage", "--from")
"""Options whose URLs are taken off the command line even if no secret is found in them."""


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
        is_server = name in SERVERS and "://" in value and not value.startswith("sqlite")
        is_handed_on = arguments[:1] == ["submit"] and name not in ("--storage", "--jobs-address")

        if is_server or (holds_secret(value) and not is_handed_on):
            urls[VARIABLES[name]] = value
        else:
            rest += [argument] if equals else [name, value]
    return rest, urls


def hide_in_tracebacks() -> None:
    """Lets this process print tracebacks without the secrets that it was given, and without what looks like one."""
    if sys.excepthook is not sys.__excepthook__ or threading.excepthook is not threading.__excepthook__:
        return  # in a debugger, a notebook or a test, whose it is
    known = known_secrets(arguments=sys.argv[1:])

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        sys.stderr.write(redacted("".join(traceback.format_exception(kind, error, trace)), known))

    sys.excepthook = show
    threading.excepthook = lambda said: show(said.exc_type, said.exc_value or said.exc_type(), said.exc_traceback)
