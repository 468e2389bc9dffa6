"""The files of a trainable's own that belong to its result."""

from __future__ import annotations

import os
from pathlib import Path

ARTEFACTS = "artefacts"
"""The folder they are in, below the training's."""


def unfit_artefacts(folder: Path) -> list[tuple[Path, str]]:
    """Returns what in the folder cannot be copied into results, and why: links, pipes, sockets, what is not readable.

    Args:
        folder: of the artefacts; it may be missing.
    """
    if folder.is_symlink():
        return [(folder, "it is a link")]
    if os.path.lexists(folder) and not folder.is_dir():
        return [(folder, "it is no folder")]
    found = []
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent, name)
            if path.is_symlink():
                found.append((path, "it is a link"))
            elif not path.is_dir() and not path.is_file():
                found.append((path, "it is a pipe, a socket or a device"))
            elif not os.access(path, os.R_OK):
                found.append((path, "it cannot be read"))
    return sorted(found)
