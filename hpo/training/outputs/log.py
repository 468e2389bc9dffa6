"""The log of a training: `run.log` in its folder if its files are kept, else a file of its own in the work folder."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from hpo.core.files import append_text
from hpo.core.texts import cleaned

LOG = "run.log"
"""Name of the log among the files of a training."""

LOGS = "logs"
"""Name of the folder of the other logs in the study's work folder."""


class Log:
    """A log file. An error in writing ends the log, but not the training.

    Args:
        path: the file, created with the first line together with its folder.
        remark: called once with a message if a line cannot be written.
    """

    def __init__(self, path: Path, remark: Callable[[str], None]) -> None:
        self._path = path
        self._remark = remark
        self._broken = False

    def write(self, message: object) -> None:
        """Adds a line with a timestamp.

        Args:
            message: text of the line; other values are converted by `str`.
        """
        if self._broken:
            return
        text = cleaned(message if isinstance(message, str) else str(message))
        try:
            append_text(self._path, f"{time.strftime('%Y-%m-%d %H:%M:%S')} [INFO] {text}\n")
        except OSError as error:  # a full disk, or the trainable replaced the file
            self._broken = True
            self._remark(f"{LOG} is incomplete: {error.strerror or error}")
