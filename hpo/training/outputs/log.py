"""A training's own log: `run.log` in its folder."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from hpo.core.files import append_text
from hpo.core.texts import cleaned

LOG = "run.log"
"""The file's name."""


class Log:
    """Adds lines to the file. What cannot be written ends the log, never the training.

    Args:
        folder: of the training; made with the first line.
        tell: told once if a line cannot be written.
    """

    def __init__(self, folder: Path, tell: Callable[[str], None]) -> None:
        self._path = folder / LOG
        self._tell = tell
        self._broken = False

    def write(self, message: object) -> None:
        """Adds a line with the time before it.

        Args:
            message: any text; what is not a text is written as `str` shows it.
        """
        if self._broken:
            return
        said = cleaned(message if isinstance(message, str) else str(message))
        try:
            append_text(self._path, f"{time.strftime('%Y-%m-%d %H:%M:%S')} [INFO] {said}\n")
        except OSError as error:  # a full disk, or something of the trainable's in its place
            self._broken = True
            self._tell(f"{LOG} ends early: {error.strerror or error}")
