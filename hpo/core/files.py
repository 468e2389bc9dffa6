"""Files that are whole or absent: written under a temporary name beside the target, synced, renamed."""

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
"""Called right before a file gets its name; raises where whoever writes may no longer do so."""


_SPARE = re.compile(r"\..+\.([0-9]{1,10})-([0-9a-f]{8})")
"""The name of a file that is being written: its own, then the process and its machine."""

_DAY = 86400.0


def unguarded() -> None:
    """Lets everybody write."""


@contextmanager
def replacing(path: Path, previous: Path | None = None, guard: Guard = unguarded) -> Iterator[Path]:
    """Lends a temporary name beside `path`; on success the file takes its place, on failure it is removed.

    Args:
        path: what is to be written; its folder is made if it is missing.
        previous: gets what was at `path` before; None: that is gone.
        guard: asked once the file is written, right before it takes its place.
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
    """Returns eight characters that tell this machine and its container, since their start, from others."""
    try:
        said = Path("/proc/sys/kernel/random/boot_id").read_text() + os.readlink("/proc/self/ns/pid")
    except OSError:
        said = socket.gethostname()
    return hashlib.sha256(said.encode()).hexdigest()[:8]


def clear_spares(folder: Path) -> None:
    """Removes half-written files of processes of this machine that are gone; those of others once they are a day old.

    Args:
        folder: where they are; it need not exist, and its folders are not looked at.
    """
    for entry in folder.iterdir() if folder.is_dir() else ():
        match = _SPARE.fullmatch(entry.name)
        if match is None or not entry.is_file():
            continue
        is_ours = match[2] == machine()
        if not _is_alive(int(match[1])) if is_ours else time.time() - entry.stat().st_mtime > _DAY:
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
    """Removes a file and what a killed process left of writing it; whatever else stands there under its name too.

    What cannot be removed is left, e.g. where the folder may not be written.
    """
    with suppress(OSError):
        for file in (path, *path.parent.glob(f".{path.name}.*")):
            if file.is_dir() and not file.is_symlink():
                shutil.rmtree(file, ignore_errors=True)
            else:
                file.unlink(missing_ok=True)


def is_file(path: Path) -> bool:
    """Whether a regular file is at `path`, or a link to one; False also where that cannot be found out."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def file_mark(path: Path) -> tuple[int, ...]:
    """Returns what is different once a file was written again: empty where none is."""
    try:
        found = os.lstat(path)
    except OSError:
        return ()
    return found.st_mode, found.st_ino, found.st_size, found.st_mtime_ns


def sync(path: Path) -> None:
    """Waits until a file or a folder's entries are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_json(path: Path) -> object:
    """Returns what a JSON file holds.

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
    except ValueError as error:  # a path with a null byte too
        raise UsageError(f"cannot read {path}: it is not JSON ({error})") from error


@contextmanager
def refused_where_unwritable(where: Path) -> Iterator[None]:
    """Turns an error of writing into a sentence.

    Args:
        where: the file or the folder that the block writes.

    Raises:
        OutputRefused: if it could not be written.
    """
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a path without a name, or with a null byte
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise OutputRefused(f"cannot write {where}: {reason}; name another place for it") from error


def write_text(path: Path, text: str, guard: Guard = unguarded) -> None:
    """Writes a text file whole.

    Args:
        path: of the file.
        text: its content, written as UTF-8.
        guard: called before the file takes its place, see `replacing`.
    """
    with replacing(path, guard=guard) as spare:
        spare.write_text(text, encoding="utf-8", newline="\n")


def append_text(path: Path, text: str) -> None:
    """Adds to the end of a text file, which is made if it is missing, and its folder too.

    Raises:
        OSError: if that cannot be done, also where something else than a file is at `path`: a link, a folder, a pipe.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # A pipe that nobody reads would be waited for.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with os.fdopen(os.open(path, flags, 0o666), "a", encoding="utf-8", newline="\n") as file:
        file.write(text)


def sha256(path: Path) -> str:
    """Returns a file's sha256, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
