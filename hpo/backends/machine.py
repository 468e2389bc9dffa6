"""What can be known of a machine or an address before Ray is imported or started, which takes seconds."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hpo.core.errors import UsageError
from hpo.core.protocols import Resources
from hpo.core.redaction import redacted_word
from hpo.training import device_for

SECONDS = 5.0
"""How long a connection may take."""

EMPTY_SETTINGS = bytes(3) + b"\x04" + bytes(5)
"""A frame of HTTP/2: three bytes of length, one of type, flags and stream."""

EXPECTED = (
    "expected host:port of a running Ray, as `ray start --head` printed it, or auto for the one of this machine; "
    "without --ray-address one is started here"
)


FOLDER = "hpo-ray-"
"""How the names of the folders begin in which a Ray of our own keeps sockets and logs."""

LONGEST_SOCKET = 107 if sys.platform == "linux" else 103
"""Bytes that the path of a socket may have."""

SOCKET = "12345678/r/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
"""What Ray adds to the name of its folder for the longest of its sockets."""


def cores() -> int:
    """Returns how many cores this process may use: those it is bound to, and no more than its group's share of time."""
    known = hasattr(os, "sched_getaffinity")  # not on every system
    bound = len(os.sched_getaffinity(0)) if known else os.cpu_count() or 1
    return max(1, min(bound, _share_of_group(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")) or bound))


def _share_of_group(member: Path, mount: Path) -> int | None:
    """Returns how many cores' time the control groups of this process allow it, rounded down; None: they do not say.

    Args:
        member: the file that names the groups, as Linux writes it.
        mount: where the groups are mounted; of version 2, or of version 1 with one folder for each controller.
    """
    shares = []
    for line in _text(member).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = mount / "cpu" if controllers else mount
        inner = root / path.lstrip("/")
        for folder in [inner, *inner.parents]:  # each group is held to those above it
            if not folder.is_relative_to(root):
                break
            quota, period = _quota(folder, version=1 if controllers else 2)
            if quota > 0 and period > 0:
                shares.append(quota // period)
    return max(1, min(shares)) if shares else None


def _quota(folder: Path, version: int) -> tuple[int, int]:
    """Returns how much time in which period, both in microseconds; 0 or less: no limit."""
    if version == 2:
        words = _text(folder / "cpu.max").split()
    else:
        words = [*_text(folder / "cpu.cfs_quota_us").split(), *_text(folder / "cpu.cfs_period_us").split()]
    if len(words) != 2 or not all(word.lstrip("-").isdecimal() for word in words):
        return 0, 0
    return int(words[0]), int(words[1])


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def folder_for_sockets(wanted: str | None = None) -> Path:
    """Returns the folder in which a Ray of our own makes its own: its sockets' paths must be short.

    Args:
        wanted: the only one that will do; None: the first fitting one of the usual temporary folders.

    Raises:
        UsageError: if none will do.
    """
    usual = [tempfile.gettempdir(), "/tmp", "/var/tmp", os.environ.get("XDG_RUNTIME_DIR") or "/dev/shm"]
    for each in [wanted] if wanted else usual:
        folder = Path(each).absolute()
        long = len(os.fsencode(folder / f"{FOLDER}{SOCKET}")) > LONGEST_SOCKET
        if not long and folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
            return folder
    longest = LONGEST_SOCKET - len(os.fsencode(f"/{FOLDER}{SOCKET}"))
    raise UsageError(
        f"Ray finds no folder for its sockets in {wanted or ', '.join(dict.fromkeys(usual))}: expected one that can be "
        f"written, with a path of at most {longest} characters; set {'RAY_TMPDIR' if wanted else 'TMPDIR'} to a "
        "shorter one. Without Ray, one training after the other: --backend local"
    )


@contextmanager
def private_folder(wanted: str | None = None) -> Iterator[Path]:
    """Makes a folder that nobody but this user may enter, and removes it at the end, with those of killed drivers.

    Args:
        wanted: as in `folder_for_sockets`.

    Raises:
        UsageError: likewise.
    """
    parent = folder_for_sockets(wanted)
    for left in parent.glob(f"{FOLDER}*"):
        _remove_unless_used(left)
    made = Path(tempfile.mkdtemp(prefix=FOLDER, dir=parent))  # for this user alone
    inner = made / "r"  # Ray opens the folder that it is given to everybody, so it is given one within
    inner.mkdir()
    with (made / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield inner
        finally:
            shutil.rmtree(made, ignore_errors=True)


def _remove_unless_used(folder: Path) -> None:
    """Removes a folder whose driver is gone: its lock was freed with it, also where that was another container's."""
    try:
        with (folder / "lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    except OSError:  # in use, another user's, being made, or gone meanwhile
        return


def refuse_too_large(resources: Resources) -> None:
    """Raises where one training wants more than this machine has.

    Raises:
        UsageError: if it does.
    """
    if resources.cpu > cores():
        raise UsageError(
            f"one training wants {resources.cpu} CPU, this machine has {cores()}; "
            "ask for less with --cpus-per-trial, or join a larger machine's Ray with --ray-address"
        )
    refuse_missing_gpu(resources)


def refuse_missing_gpu(resources: Resources) -> None:
    """Raises where a graphics card is wanted and torch sees none here.

    Raises:
        UsageError: if it is so.
    """
    if resources.gpu and device_for(resources.gpu) == "cpu":
        raise UsageError(f"one training wants {resources.gpu:g} GPU, but torch sees none here; use --gpus-per-trial 0")


def ray_is_joined() -> bool:
    """Whether this process has joined a Ray; asked without importing it."""
    return "ray" in sys.modules and bool(sys.modules["ray"].is_initialized())


def refuse_unreachable(address: str) -> None:
    """Raises where an address is none of Ray's, or nobody listens there, which Ray itself would try for minutes.

    Raises:
        UsageError: if it is malformed, or no connection can be made.
    """
    if address == "auto":
        return
    if address.startswith("ray://"):
        raise UsageError(
            f"{redacted_word(address)} is an address of Ray's client, by which the driver would run on the cluster, "
            f"away from its database; {EXPECTED}"
        )
    found = re.fullmatch(r"(?:\[(?P<ipv6>[0-9A-Fa-f:]+)\]|(?P<name>[^\s:/\[\]]+)):(?P<port>[0-9]{1,5})", address)
    if found is None or not 0 < int(found["port"]) < 2**16:
        raise UsageError(f"{redacted_word(address)!r} is no address of a Ray; {EXPECTED}")
    try:
        speaks = _speaks_http2(found["ipv6"] or found["name"], int(found["port"]))
    except (OSError, UnicodeError) as error:  # UnicodeError: a name that no host can have
        raise UsageError(
            f"no Ray at {address} ({error}); is it running, and is the port the one that `ray start --head` printed? "
            "Without --ray-address one is started here."
        ) from error
    if not speaks:
        raise UsageError(f"what listens at {address} is no Ray; {EXPECTED}")


def _speaks_http2(host: str, port: int) -> bool:
    """Whether a server answers an HTTP/2 preface with its settings (RFC 9113, section 3.4), as Ray's gRPC does."""
    with socket.create_connection((host, port), timeout=SECONDS) as connection:
        if os.environ.get("RAY_USE_TLS", "0") == "1":  # then the preface would have to be encrypted
            return True
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + EMPTY_SETTINGS)
        try:
            header = connection.recv(len(EMPTY_SETTINGS), socket.MSG_WAITALL)
        except OSError:  # closed, or silent
            return False
    return header[3:4] == EMPTY_SETTINGS[3:4]
