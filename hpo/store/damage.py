"""Whether a SQLite file is damaged: it was cut off, overwritten, or a disk lost some of it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing

from hpo.core.errors import StorageUnavailable
from hpo.store.urls import sqlite_file

NOT_ONE = "file is not a database"
"""What SQLite says of a file whose first bytes are not a database's."""


def damage_of(url: str, *, thorough: bool = False) -> str | None:
    """Returns what is wrong with a SQLite file, in a line; None if nothing is, or the database is no such file.

    Args:
        url: of the database, normalised.
        thorough: whether indexes are compared with their tables too, which takes longer.
    """
    try:
        path = sqlite_file(url)
    except StorageUnavailable:
        return None
    if path is None or not os.path.isfile(path):
        return None
    check = "integrity_check" if thorough else "quick_check"
    try:
        with closing(sqlite3.connect(path, timeout=2)) as connection:
            connection.execute("PRAGMA query_only=ON")
            said = connection.execute(f"PRAGMA {check}(1)").fetchone()
    except sqlite3.OperationalError:  # busy, full, or not to be opened: that says nothing of what is in it
        return None
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if said is None or said[0] == "ok" else " ".join(str(said[0]).split())


def damaged(name: str, damage: str) -> str:
    """Returns what is said of a damaged file and what to do.

    Args:
        name: what to call the database.
        damage: as `damage_of` returned it.
    """
    if damage == NOT_ONE:
        return f"storage {name} is not a SQLite database, or its beginning was overwritten; choose another --storage"
    return (
        f"storage {name} is damaged: {damage}. Nothing more is written to it. Go on with a copy from before, or save "
        "what can be read into a new file: sqlite3 OLD.db .recover | sqlite3 NEW.db"
    )
