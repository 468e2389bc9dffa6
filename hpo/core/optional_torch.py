"""Whether torch is installed. Only networks, their weights and the sampler `gp` need it."""

from __future__ import annotations

from importlib.util import find_spec

from hpo.core.errors import UsageError
from hpo.core.installed import install_line


def has_torch() -> bool:
    """Whether torch is installed; does not import it."""
    try:
        return find_spec("torch") is not None
    except ImportError:  # of another finder than Python's own
        return False


def require_torch(what: str) -> None:
    """Checks that torch is installed; does not import it.

    Args:
        what: what needs it, as the beginning of the message.

    Raises:
        UsageError: if it is not installed.
    """
    if not has_torch():
        raise UsageError(f"{what} needs torch, which is not installed: {install_line('torch')}")
