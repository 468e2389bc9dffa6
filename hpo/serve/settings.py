"""Settings of the web server."""

from __future__ import annotations

import ipaddress
import secrets
from dataclasses import dataclass
from pathlib import Path

from hpo.core.errors import UsageError

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

MIN_TOKEN_LENGTH = 16
"""Minimum characters of a token; a shorter one could be guessed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of the web server.

    Attributes:
        host: address to listen at.
        port: port to listen on; 0: a free one.
        token: token that gives read and write access; None: everyone who reaches the server may read, nobody may write.
        allowed_hosts: host names of the server besides those of the loopback.
        writable_dashboard: whether Optuna's dashboard may change studies; it requires a token.

    Raises:
        UsageError: if a setting is invalid, or would give a whole network access to the studies.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    token: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    writable_dashboard: bool = False

    def __post_init__(self) -> None:
        if self.token is not None and len(self.token) < MIN_TOKEN_LENGTH:
            raise UsageError(
                f"the token has {len(self.token)} characters, expected {MIN_TOKEN_LENGTH} or more; "
                f"e.g. {secrets.token_urlsafe(24)}"
            )
        if self.token is None and not self.is_loopback:
            raise UsageError(
                f"at {self.host} everybody on the network could read the studies; set a token with --token-file or "
                "HPO_TOKEN, or listen at 127.0.0.1"
            )
        if self.token is None and self.writable_dashboard:
            raise UsageError("a dashboard that may delete studies needs a token; set --token-file or HPO_TOKEN")
        if not 0 <= self.port <= 65535:
            raise UsageError(f"port {self.port}: expected 0 .. 65535")

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False

    @property
    def hosts(self) -> list[str]:
        """Host names that requests may use; `*` if the server is open to a network and protected by a token."""
        if self.allowed_hosts or self.is_loopback:
            return [*LOOPBACK, self.host, *self.allowed_hosts]
        return ["*"]


def read_token(path: Path) -> str:
    """Returns the token in a file.

    Args:
        path: path of the file.

    Raises:
        UsageError: if the file cannot be read or is empty.
    """
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"token file {path} cannot be read: {getattr(error, 'strerror', None) or 'it is not text'}"
        ) from error
    if not token:
        raise UsageError(f"token file {path} is empty")
    return token
