"""Checks a machine and an address before Ray is imported or started, which takes seconds."""

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
"""Timeout of a connection."""

EMPTY_SETTINGS = bytes(3) + b"\x04" + bytes(5)
"""A frame of HTTP/2: three bytes of length, one of type, flags and stream."""

EXPECTED = (
    "expected host:port of a running Ray, as `ray start --head` printed it, or auto for the one of this machine; "
    "without --ray-address one is started here"
)


FOLDER = "hpo-ray-"
"""Prefix of the folders in which a Ray of our own keeps sockets and logs."""

LONGEST_SOCKET = 107 if sys.platform == "linux" else 103
"""Maximum length of a socket's path in bytes."""

SOCKET = "12345678/r/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
"""What Ray appends to our prefix in its longest socket path."""


def cores() -> int:
    """Returns how many cores this process may use: its CPU affinity, limited by its control group."""
    known = hasattr(os, "sched_getaffinity")  # not available on every system
    bound = len(os.sched_getaffinity(0)) if known else os.cpu_count() or 1
    return max(1, min(bound, _share_of_group(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")) or bound))


def _share_of_group(member: Path, mount: Path) -> int | None:
    """Returns the CPU quota of this process's control groups in cores, rounded down; None: no quota.

    Args:
        member: the file that lists the groups, /proc/self/cgroup.
        mount: mount point of the groups, version 2, or version 1 with one folder per controller.
    """
    shares = []
    for line in _text(member).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = mount / "cpu" if controllers else mount
        inner = root / path.lstrip("/")
        for folder in [inner, *inner.parents]:  # limits of parent groups apply too
            if not folder.is_relative_to(root):
                break
            quota, period = _quota(folder, version=1 if controllers else 2)
            if quota > 0 and period > 0:
                shares.append(quota // period)
    return max(1, min(shares)) if shares else None


def _quota(folder: Path, version: int) -> tuple[int, int]:
    """Returns the quota and its period in microseconds; 0 or less: no limit."""
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
    """Returns the parent folder for a Ray of our own, whose socket paths must be short.

    Args:
        wanted: the only folder to consider; None: the first suitable one of the usual temporary folders.

    Raises:
        UsageError: if none is suitable.
    """
    usual = [tempfile.gettempdir(), "/tmp", "/var/tmp", os.environ.get("XDG_RUNTIME_DIR") or "/dev/shm"]
    for each in [wanted] if wanted else usual:
        folder = Path(each).absolute()
        long = len(os.fsencode(folder / f"{FOLDER}{SOCKET}")) > LONGEST_SOCKET
        if not long and folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
            return folder
    longest = LONGEST_SOCKET - len(os.fsencode(f"/{FOLDER}{SOCKET}"))
    raise UsageError(
        f"no suitable folder for Ray's sockets in {wanted or ', '.join(dict.fromkeys(usual))}: expected a writable one "
        f"with a path of at most {longest} characters; set {'RAY_TMPDIR' if wanted else 'TMPDIR'} to a "
        "shorter one, or train without Ray: --backend local, with --concurrency N for N trainings at a time"
    )


@contextmanager
def private_folder(wanted: str | None = None) -> Iterator[Path]:
    """Creates a folder that only this user can enter, and removes it at the end, with those of killed drivers.

    Args:
        wanted: the parent folder, see `folder_for_sockets`.

    Raises:
        UsageError: if there is no suitable parent folder.
    """
    parent = folder_for_sockets(wanted)
    for left in parent.glob(f"{FOLDER}*"):
        _remove_unless_used(left)
    made = Path(tempfile.mkdtemp(prefix=FOLDER, dir=parent))  # accessible to this user only
    inner = made / "r"  # Ray makes its folder accessible to everybody, so it gets a subfolder
    inner.mkdir()
    with (made / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield inner
        finally:
            shutil.rmtree(made, ignore_errors=True)


def _remove_unless_used(folder: Path) -> None:
    """Removes a folder whose driver has ended, which released its lock, even in another container."""
    try:
        with (folder / "lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    except OSError:  # in use, another user's, being created, or just removed
        return


def require_resources(resources: Resources) -> None:
    """Checks that this machine has the resources of one training.

    Raises:
        UsageError: if it has not.
    """
    if resources.cpu > cores():
        raise UsageError(
            f"one training requests {resources.cpu} CPU, but this machine has {cores()}; "
            "request fewer with --cpus-per-trial, or join a larger machine's Ray with --ray-address"
        )
    require_gpu(resources)


def require_gpu(resources: Resources) -> None:
    """Checks that torch sees a GPU if one is requested.

    Raises:
        UsageError: if it does not.
    """
    if resources.gpu and device_for(resources.gpu) == "cpu":
        raise UsageError(
            f"one training requests {resources.gpu:g} GPU, but torch sees none here; use --gpus-per-trial 0"
        )


def ray_is_joined() -> bool:
    """Whether this process is connected to a Ray; does not import it."""
    return "ray" in sys.modules and bool(sys.modules["ray"].is_initialized())


def require_reachable(address: str) -> None:
    """Checks that a Ray answers at an address; Ray itself would retry for minutes.

    Raises:
        UsageError: if it is malformed, or no connection can be made.
    """
    if address == "auto":
        return
    if address.startswith("ray://"):
        raise UsageError(
            f"{redacted_word(address)} is a Ray Client address, with which the driver would run on the cluster, "
            f"away from its database; {EXPECTED}"
        )
    found = re.fullmatch(r"(?:\[(?P<ipv6>[0-9A-Fa-f:]+)\]|(?P<name>[^\s:/\[\]]+)):(?P<port>[0-9]{1,5})", address)
    if found is None or not 0 < int(found["port"]) < 2**16:
        raise UsageError(f"{redacted_word(address)!r} is not the address of a Ray; {EXPECTED}")
    try:
        speaks = _speaks_http2(found["ipv6"] or found["name"], int(found["port"]))
    except (OSError, UnicodeError) as error:  # UnicodeError: not a valid host name
        raise UsageError(
            f"no Ray at {address} ({error}); is it running, and is the port the one that `ray start --head` printed? "
            "Without --ray-address one is started here."
        ) from error
    if not speaks:
        raise UsageError(f"the server at {address} is not a Ray; {EXPECTED}")


def _speaks_http2(host: str, port: int) -> bool:
    """Whether a server answers an HTTP/2 preface with its settings (RFC 9113, section 3.4), as Ray's gRPC does."""
    with socket.create_connection((host, port), timeout=SECONDS) as connection:
        if os.environ.get("RAY_USE_TLS", "0") == "1":  # the preface would have to be encrypted
            return True
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + EMPTY_SETTINGS)
        try:
            header = connection.recv(len(EMPTY_SETTINGS), socket.MSG_WAITALL)
        except OSError:  # closed, or silent
            return False
    return header[3:4] == EMPTY_SETTINGS[3:4]
