"""Whether anything listens at a Ray address; asked before Ray is, which would try for minutes."""

from __future__ import annotations

import socket

from hpo.errors import UsageError

SECONDS = 5.0
"""How long a connection may take."""


def refuse_unreachable(address: str) -> None:
    """Raises where nobody listens at `host:port`. Other forms (`auto`, `ray://..`) are left to Ray.

    Raises:
        UsageError: if no connection can be made.
    """
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), timeout=SECONDS).close()
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"no Ray at {address} ({error}); is it running, and is the port the one that `ray start --head` printed? "
            "Without --ray-address one is started here."
        ) from error
