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
"""Options whose URL may be of a Postgres, which finds a password in other places too."""


def refuse_secret(context: typer.Context, option: typer.CallbackParam, value: str | None) -> str | None:
    """Returns an option's value, unless it is on the command line and may hold a password or a token.

    Args:
        context: typer's, of the command that is called.
        option: the option that has the value.
        value: what was given for it; None: nothing.

    Raises:
        UsageError: if it may hold one; the environment is the place for it.
    """
    source = context.get_parameter_source(option.name or "")
    if value is None or source is None or source.name != "COMMANDLINE":
        return value
    if value.startswith("sqlite") or not holds_secret(value):  # SQLite has no passwords
        return value
    name = option.opts[0]
    advice = f"set {option.envvar} in the environment instead"
    if name in OF_DATABASES:
        advice += ", or leave the password out of the URL and have it in ~/.pgpass or PGPASSWORD"
    raise UsageError(
        f"{name} may hold a password or a token, and every user of this machine can read a command line; {advice}"
    )


def hide_in_tracebacks() -> None:
    """Lets this process print tracebacks without the secrets that it was given, and without what looks like one."""
    if sys.excepthook is not sys.__excepthook__ or threading.excepthook is not threading.__excepthook__:
        return  # in a debugger, a notebook or a test, whose it is
    known = known_secrets(arguments=sys.argv[1:])

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        sys.stderr.write(redacted("".join(traceback.format_exception(kind, error, trace)), known))

    sys.excepthook = show
    threading.excepthook = lambda said: show(said.exc_type, said.exc_value or said.exc_type(), said.exc_traceback)
