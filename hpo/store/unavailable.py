"""The message for a database that cannot be opened."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, OperationalError

from hpo.core.redaction import masked, secrets_in, without
from hpo.store.damage import NOT_A_DATABASE

CURES = {
    NOT_A_DATABASE: "It is another kind of file; choose another with --storage.",
    "readonly": "You may not write to the file or its folder; change that, or choose another with --storage.",
    "is full": "Free some disk space, or choose another with --storage.",
    "locked": "Another program holds its lock; see who drives it with: hpo status.",
}
"""What to do, by a part of SQLite's message."""


def unavailable(url: str, error: DBAPIError) -> str:
    """Returns why a database cannot be opened and what to do, without its password."""
    reason = without(str(error.orig or error).strip().splitlines()[0], secrets_in(url))
    cure = (
        "Is the server running, and are user, host and database name right?"
        if isinstance(error, OperationalError)
        else ""
    )
    if url.startswith("sqlite"):
        cure = "Check that the folder exists and is writable, or choose another with --storage."
        for part, known in CURES.items():
            cure = known if part in reason else cure
    return f"cannot open storage {masked(url)}: {reason}. {cure}".strip()
