"""What can be known of a machine or an address before Ray is imported or started, which takes seconds."""

from __future__ import annotations

import os
import re
import socket
import sys

from hpo.errors import UsageError
from hpo.redaction import redacted_word
from hpo.seam import Resources
from hpo.training import device_for

SECONDS = 5.0
"""How long a connection may take."""

EMPTY_SETTINGS = bytes(3) + b"\x04" + bytes(5)
"""A frame of HTTP/2: three bytes of length, one of type, flags and stream."""

EXPECTED = (
    "expected host:port of a running Ray, as `ray start --head` printed it, or auto for the one of this machine; "
    "without --ray-address one is started here"
)


def cores() -> int:
    """Returns how many cores this machine has."""
    return os.cpu_count() or 1


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
