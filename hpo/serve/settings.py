"""How a server is set up."""

from __future__ import annotations

import ipaddress
import secrets
from dataclasses import dataclass
from pathlib import Path

from hpo.core.errors import UsageError

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

SHORTEST_TOKEN = 16
"""Characters. A shorter one can be guessed by trying."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a server is set up.

    Attributes:
        host: address to listen at.
        port: to listen on; 0: a free one.
        token: whoever sends it may look, and change; None: whoever reaches the server may look, and nobody may change.
        allowed_hosts: names by which it is asked for, beside the loopback's.
        writable_dashboard: whether Optuna's dashboard may change studies; it wants a token.

    Raises:
        UsageError: if that would leave the studies open to a network.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    token: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    writable_dashboard: bool = False

    def __post_init__(self) -> None:
        if self.token is not None and len(self.token) < SHORTEST_TOKEN:
            raise UsageError(
                f"the token has {len(self.token)} characters, expected {SHORTEST_TOKEN} or more; "
                f"e.g. {secrets.token_urlsafe(24)}"
            )
        if self.token is None and not self.is_loopback:
            raise UsageError(
                f"at {self.host} everybody on the network could read the studies; give a token by --token-file or "
                "HPO_TOKEN, or listen at 127.0.0.1"
            )
        if self.token is None and self.writable_dashboard:
            raise UsageError("a dashboard that may delete studies wants a token; give one by --token-file or HPO_TOKEN")
        if not 0 <= self.port <= 65535:
            raise UsageError(f"port {self.port}: expected 0 .. 65535")

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False

    @property
    def hosts(self) -> list[str]:
        """Names by which it may be asked for; any where a token guards what is listened to from outside."""
        if self.allowed_hosts or self.is_loopback:
            return [*LOOPBACK, self.host, *self.allowed_hosts]
        return ["*"]


def read_token(path: Path) -> str:
    """Returns the token in a file.

    Raises:
        UsageError: if there is none.
    """
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"token file {path} cannot be read: {getattr(error, 'strerror', None) or 'no text'}"
        ) from error
    if not token:
        raise UsageError(f"token file {path} is empty")
    return token
