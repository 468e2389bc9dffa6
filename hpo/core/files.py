"""Writes files atomically: to a temporary name beside the target, synced, then renamed."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import shutil
import socket
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hpo.core.errors import OutputRefused, UsageError

Guard = Callable[[], None]
"""Called right before a file is renamed into place; raises if the caller may no longer write."""


_SPARE = re.compile(r"\..+\.([0-9]{1,10})-([0-9a-f]{8})")
"""The temporary name of a file: its own name, then the process and its machine."""

_DAY = 86400.0


def no_guard() -> None:
    """Allows every write."""


@contextmanager
def atomic_write(path: Path, previous: Path | None = None, guard: Guard = no_guard) -> Iterator[Path]:
    """Yields a temporary path beside `path`; on success it replaces `path`, on failure it is removed.

    Args:
        path: path of the file; its folder is created if missing.
        previous: path that keeps the replaced file; None: it is lost.
        guard: called after the file is written, right before it is renamed into place.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    spare = path.with_name(f".{path.name}.{os.getpid()}-{machine()}")
    try:
        yield spare
        sync(spare)
        guard()
        if previous is not None:
            with suppress(FileNotFoundError):
                os.replace(path, previous)
        os.replace(spare, path)
    finally:
        spare.unlink(missing_ok=True)


@functools.cache
def machine() -> str:
    """Returns eight characters that identify this machine and container since their start."""
    try:
        identity = Path("/proc/sys/kernel/random/boot_id").read_text() + os.readlink("/proc/self/ns/pid")
    except OSError:
        identity = socket.gethostname()
    return hashlib.sha256(identity.encode()).hexdigest()[:8]


def tree_size(path: Path) -> int:
    """Returns the bytes of a file, or of all files below a folder; links are not followed."""
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size if os.path.lexists(path) else 0
    return sum(Path(parent, name).lstat().st_size for parent, _, names in os.walk(path) for name in names)


def temporary_files(folder: Path) -> Iterator[Path]:
    """Yields temporary files of ended processes of this machine; those of other machines once they are a day old.

    Args:
        folder: folder of the files; it may be missing, and its subfolders are ignored.
    """
    for entry in folder.iterdir() if folder.is_dir() else ():
        match = _SPARE.fullmatch(entry.name)
        if match is None or not entry.is_file():
            continue
        is_ours = match[2] == machine()
        if not _is_alive(int(match[1])) if is_ours else time.time() - entry.stat().st_mtime > _DAY:
            yield entry


def clear_temporary_files(folder: Path) -> None:
    """Removes the temporary files of a folder, see `temporary_files`."""
    for entry in temporary_files(folder):
        entry.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def remove(path: Path) -> None:
    """Removes a file, or a folder of that name, and temporary files that a killed process left.

    Errors are ignored, e.g. in a read-only folder.
    """
    with suppress(OSError):
        for file in (path, *path.parent.glob(f".{path.name}.*")):
            if file.is_dir() and not file.is_symlink():
                shutil.rmtree(file, ignore_errors=True)
            else:
                file.unlink(missing_ok=True)


def is_file(path: Path) -> bool:
    """Whether `path` is a regular file or a link to one; False also if that cannot be determined."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def file_stamp(path: Path) -> tuple[int, ...]:
    """Returns a value that changes when a file is rewritten; empty if there is no file."""
    try:
        found = os.lstat(path)
    except OSError:
        return ()
    return found.st_mode, found.st_ino, found.st_size, found.st_mtime_ns


def sync(path: Path) -> None:
    """Syncs a file or a folder's entries to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_json(path: Path) -> object:
    """Returns the content of a JSON file.

    Raises:
        UsageError: if the file cannot be read, is not JSON, or is nested too deeply.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"cannot read {path}: it is not UTF-8 text (byte {error.start})") from error
    except RecursionError as error:
        raise UsageError(f"cannot read {path}: its JSON is nested too deeply") from error
    except ValueError as error:  # also for a path with a null byte
        raise UsageError(f"cannot read {path}: it is not JSON ({error})") from error


@contextmanager
def explain_write_errors(where: Path) -> Iterator[None]:
    """Turns a write error into a sentence.

    Args:
        where: the file or folder that the block writes.

    Raises:
        OutputRefused: if it cannot be written.
    """
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a path without a name, or with a null byte
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise OutputRefused(f"cannot write {where}: {reason}; choose another path") from error


def write_text(path: Path, text: str, guard: Guard = no_guard) -> None:
    """Writes a text file atomically.

    Args:
        path: path of the file.
        text: its content, written as UTF-8.
        guard: called before the file is renamed into place, see `atomic_write`.
    """
    with atomic_write(path, guard=guard) as spare:
        spare.write_text(text, encoding="utf-8", newline="\n")


def append_text(path: Path, text: str) -> None:
    """Appends to a text file; creates it and its folder if missing.

    Raises:
        OSError: if that fails, or `path` is not a regular file but a link, a folder or a pipe.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without O_NONBLOCK it would wait for a pipe that nobody reads.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with os.fdopen(os.open(path, flags, 0o666), "a", encoding="utf-8", newline="\n") as file:
        file.write(text)


def sha256(path: Path) -> str:
    """Returns a file's sha256, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
