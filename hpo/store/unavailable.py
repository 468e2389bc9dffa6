"""Why a database cannot be opened, in a sentence."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, OperationalError

from hpo.core.redaction import masked, secrets_in, without
from hpo.store.damage import NOT_ONE

CURES = {
    NOT_ONE: "It is another kind of file; choose another with --storage.",
    "readonly": "The file or its folder may not be written by you; change that, or choose another with --storage.",
    "is full": "Make room on its disk, or choose another with --storage.",
    "locked": "Another program holds its lock; who drives: hpo status.",
}
"""What to do, by a part of what SQLite says."""


def unavailable(url: str, error: DBAPIError) -> str:
    """Returns why a database cannot be opened and what to do, without its password."""
    reason = without(str(error.orig or error).strip().splitlines()[0], secrets_in(url))
    cure = "Is the server up, and are user, host and name right?" if isinstance(error, OperationalError) else ""
    if url.startswith("sqlite"):
        cure = "Does the folder exist, and may it be written? Choose another with --storage."
        for part, known in CURES.items():
            cure = known if part in reason else cure
    return f"cannot open storage {masked(url)}: {reason}. {cure}".strip()
