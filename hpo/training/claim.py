"""The right to a job's folder: one process at a time trains in it."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where nothing is locked
    fcntl = None  # type: ignore[assignment]

FOLDER = ".claims"
"""Name of the folder of the locks in a study's work folder."""

PATIENCE = 60.0
"""Seconds to wait for another process: Ray ends the workers of a driver that was killed within seconds."""


class Claim:
    """Locks a job's folder against other processes of this machine.

    A driver may be killed and started again while its workers still run. Without the lock, such a worker would delete
    files of the training that replaces its own. The system frees the lock when its process ends, however it ends, and
    processes that a training forks do not have it.

    Args:
        root: the study's work folder on this machine's disk.
        job: digest of the job.
    """

    def __init__(self, root: Path, job: str) -> None:
        self._path = root / FOLDER / job[:32]
        self._file: int | None = None

    def take(self, patience: float = PATIENCE) -> bool:
        """Takes the lock, and waits for another process that has it.

        Args:
            patience: seconds to wait at most.

        Returns:
            Whether no other process has it: True as well where files cannot be locked.
        """
        until = time.monotonic() + patience
        while (taken := self._try()) is False and time.monotonic() < until:
            time.sleep(0.05)
        return taken is not False

    def release(self) -> None:
        """Frees the lock if it was taken."""
        if self._file is not None:
            with suppress(OSError):
                self._path.unlink()  # while it is locked, so that nobody locks a file that is about to go
            with suppress(OSError):
                self._path.parent.rmdir()  # it was the last one
            os.close(self._file)
            self._file = None

    def _try(self) -> bool | None:
        """Returns whether the lock was taken; None: files cannot be locked here."""
        if fcntl is None:
            return None
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:  # the folder was removed in between
            return False
        except OSError:
            return None
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self._is_file(file):
                self._file = file
                return True
        except (BlockingIOError, PermissionError):  # another process has it
            pass
        except OSError:  # a disk without locks
            os.close(file)
            return None
        os.close(file)
        return False

    def _is_file(self, file: int) -> bool:
        """Whether the path still leads to an open file, which the last owner may have deleted."""
        try:
            return os.path.samestat(os.fstat(file), self._path.stat())
        except FileNotFoundError:
            return False
