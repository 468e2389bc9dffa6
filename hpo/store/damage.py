"""Checks a SQLite file for damage: it was truncated or overwritten, or the disk lost a part of it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing

from hpo.core.errors import StorageUnavailable
from hpo.store.urls import sqlite_file

NOT_A_DATABASE = "file is not a database"
"""SQLite's error for a file that does not begin like a database."""


def find_damage(url: str, *, thorough: bool = False) -> str | None:
    """Returns one line on what is wrong with a SQLite file; None if it is sound, missing, or not SQLite.

    Args:
        url: normalized URL of the database.
        thorough: whether indexes are compared with their tables too, which is slower.
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
            row = connection.execute(f"PRAGMA {check}(1)").fetchone()
    except sqlite3.OperationalError:  # busy, full or unreadable: this says nothing about its content
        return None
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if row is None or row[0] == "ok" else " ".join(str(row[0]).split())


def damaged(name: str, damage: str) -> str:
    """Returns the message for a damaged file, with what to do.

    Args:
        name: how the message calls the database.
        damage: the line that `find_damage` returned.
    """
    if damage == NOT_A_DATABASE:
        return f"storage {name} is not a SQLite database, or its beginning was overwritten; choose another --storage"
    return (
        f"storage {name} is damaged: {damage}. Nothing more is written to it. Restore an earlier copy, or save "
        "what can be read into a new file: sqlite3 OLD.db .recover | sqlite3 NEW.db"
    )
