"""Keeps secrets off the command line, which every user of the machine can read, and out of tracebacks."""

from __future__ import annotations

import sys
import threading
import traceback
from types import TracebackType

import typer

from hpo.core.errors import UsageError
from hpo.core.redaction import holds_secret, known_secrets, redacted

OF_DATABASES = ("--storage", "--from")
"""Options whose URL may name a Postgres database, which can read its password from other places."""


def check_no_secret(context: typer.Context, option: typer.CallbackParam, value: str | None) -> str | None:
    """Returns an option's value; refuses one on the command line that may contain a password or a token.

    Args:
        context: typer's context of the command that is called.
        option: the option that has the value.
        value: value given for the option; None: it was not given.

    Raises:
        UsageError: if it may contain a secret, which belongs in the environment.
    """
    source = context.get_parameter_source(option.name or "")
    if value is None or source is None or source.name != "COMMANDLINE":
        return value
    if value.startswith("sqlite") or not holds_secret(value):  # SQLite has no passwords
        return value
    name = option.opts[0]
    advice = f"set {option.envvar} in the environment instead"
    if name in OF_DATABASES:
        advice += ", or leave the password out of the URL and put it in ~/.pgpass or PGPASSWORD"
    raise UsageError(
        f"{name} may contain a password or a token, and every user of this machine can read a command line; {advice}"
    )


def hide_in_tracebacks() -> None:
    """Removes known secrets, and text that looks like a secret, from the tracebacks of this process."""
    if sys.excepthook is not sys.__excepthook__ or threading.excepthook is not threading.__excepthook__:
        return  # a debugger, a notebook or a test has set its own hook
    known = known_secrets(arguments=sys.argv[1:])

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        sys.stderr.write(redacted("".join(traceback.format_exception(kind, error, trace)), known))

    sys.excepthook = show
    threading.excepthook = lambda args: show(args.exc_type, args.exc_value or args.exc_type(), args.exc_traceback)
