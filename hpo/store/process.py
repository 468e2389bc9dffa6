"""Tells whether a process of this machine is still alive; a pid alone is not enough, because pids are reused."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path

PROC = Path("/proc")


def host() -> str:
    """Returns this machine's name."""
    return socket.gethostname()


def process_key(pid: int) -> str | None:
    """Returns a key that is unique to a process: the machine's boot, the pid namespace, the process's start time.

    None if there is no such process here, or the kernel does not tell.
    """
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
        namespace = os.readlink(PROC / "self/ns/pid")  # containers with the same host name have different pids
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    if fields[0] in {"Z", "X"}:  # dead, but not yet reaped by its parent
        return None
    return f"{boot} {namespace} {fields[19]}"


def is_dead(name: str, pid: int, key: str | None) -> bool:
    """Whether a process has certainly ended; False for one on another machine or in another container.

    Args:
        name: name of its machine.
        pid: id of the process.
        key: its `process_key`, None if unknown.
    """
    return is_local_host(name, key) and process_key(pid) != key


def is_local_host(name: str, key: str | None) -> bool:
    """Whether a process certainly runs, or ran, where this process can see it.

    Args:
        name: name of its machine.
        key: its `process_key`, None if unknown.
    """
    mine = process_key(os.getpid())
    if name != host() or key is None or mine is None:
        return False
    return key.split()[:2] == mine.split()[:2]  # another boot may be another machine of that name


def end(pid: int, key: str, seconds: float) -> None:
    """Sends SIGTERM to a process of this machine, and SIGKILL if it is still alive after `seconds`.

    Raises:
        PermissionError: if another user owns the process.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process_key(pid) != key:
            return
        deadline = time.monotonic() + seconds
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        while process_key(pid) == key and time.monotonic() < deadline:
            time.sleep(0.05)
