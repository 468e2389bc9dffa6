"""Telling whether a process of this machine is still alive: a pid alone is not enough, for pids are used again."""

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


def mark(pid: int) -> str | None:
    """Returns what tells a process from all others: the machine's boot, the pid namespace, the moment of its start.

    None if there is no such process here, or where the kernel does not say.
    """
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
        namespace = os.readlink(PROC / "self/ns/pid")  # containers that share a host name do not share their pids
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    if fields[0] in {"Z", "X"}:  # dead, and its parent has not asked how it ended
        return None
    return f"{boot} {namespace} {fields[19]}"


def is_dead(name: str, pid: int, marked: str | None) -> bool:
    """Whether a process is surely gone. Of a process of another machine or container nobody here can be sure.

    Args:
        name: of its machine.
        pid: id of the process.
        marked: its `mark`, None where that was not known.
    """
    return is_local_host(name, marked) and mark(pid) != marked


def is_local_host(name: str, marked: str | None) -> bool:
    """Whether a process is, or was, surely one that this process can see.

    Args:
        name: of its machine.
        marked: its `mark`, None where that was not known.
    """
    mine = mark(os.getpid())
    if name != host() or marked is None or mine is None:
        return False
    return marked.split()[:2] == mine.split()[:2]  # another boot may as well be another machine of that name


def end(pid: int, marked: str, seconds: float) -> None:
    """Ends a process of this machine: it is asked to, and killed if it is still there after so many seconds.

    Raises:
        PermissionError: if it is another user's.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        if mark(pid) != marked:
            return
        deadline = time.monotonic() + seconds
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        while mark(pid) == marked and time.monotonic() < deadline:
            time.sleep(0.05)
