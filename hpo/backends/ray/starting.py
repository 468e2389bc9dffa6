"""A Ray of our own: reachable from this machine alone, by a token that no file holds, in a folder that only we may use.

Ray as it comes listens on every interface, and makes its folder writable for everybody. Whoever reaches one of its
ports, and is asked for no token, runs code as this user.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from unittest.mock import patch

from ray._private import ray_constants
from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]  # Cython: no stubs

from hpo.backends.machine import private_folder

MODE, TOKEN, TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
"""Ray's variables: whether a token is asked for, the token, and the file that holds it."""

TMPDIR = "RAY_TMPDIR"
"""Ray's variable for its own folder."""

GROUP_CLEANUP, PRESTART = "RAY_process_group_cleanup_enabled", "RAY_prestart_worker_first_driver"
"""Ray's switches: whether a worker's own processes end with it, and whether workers are started beforehand."""


@contextmanager
def started_safely() -> Iterator[Path]:
    """Gives the folder for a Ray of our own, which is to be started and ended within the block.

    Raises:
        UsageError: if no folder will do for Ray's sockets.
    """
    said = os.environ
    wanted: dict[str, str] = {}
    if said.get(MODE, "token").lower() == "token":
        wanted[MODE] = "token"
        if not said.get(TOKEN) and not said.get(TOKEN_PATH):
            wanted[TOKEN] = secrets.token_hex(32)
    # Ends what a training has started in processes of its own together with its worker, also when that is killed.
    wanted[GROUP_CLEANUP] = said.get(GROUP_CLEANUP, "1")
    # Ray starts a worker for each core beforehand. Tune's need an environment of their own and can use none of them.
    wanted[PRESTART] = said.get(PRESTART, "0")
    with ExitStack() as stack:
        folder = stack.enter_context(private_folder(said.get(TMPDIR)))
        stack.enter_context(variables(wanted))
        # Where Ray takes the loopback address for its own it listens on nothing else; that is its way on systems whose
        # firewall asks about every port. Its public argument for the address turns loopback into the outer one.
        stack.enter_context(patch.object(ray_constants, "ENABLE_RAY_CLUSTER", False))
        yield folder


@contextmanager
def joined_with_token() -> Iterator[None]:
    """Shows a Ray that is joined the token that is at hand, as `ray start` asks for one where it finds one.

    A Ray that asks for none does not mind.
    """
    has_token = AuthenticationTokenLoader.instance().has_token(ignore_auth_mode=True)
    with variables({MODE: "token"} if has_token and MODE not in os.environ else {}):
        yield


@contextmanager
def variables(wanted: dict[str, str]) -> Iterator[None]:
    """Sets environment variables, of which Ray has read some already, and puts them back."""
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    _read_again()
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                with suppress(KeyError):
                    del os.environ[name]
            else:
                os.environ[name] = value
        _read_again()


def describe_token() -> str:
    """Returns which token a Ray that is joined is shown, and what to do if that is the wrong one."""
    if os.environ.get(MODE, "").lower() == "disabled":
        return f"No token is shown, because {MODE} is disabled; where the cluster asks for one, set it to token."
    if os.environ.get(TOKEN):
        return f"The token is the one in {TOKEN}; if the cluster asks for another, set that."
    file = os.environ.get(TOKEN_PATH) or os.path.expanduser("~/.ray/auth_token")
    if os.path.exists(file):
        return (
            f"The token is the one in {file}, perhaps left there by an earlier Ray; a cluster that was started "
            f"elsewhere asks for its own: set {MODE}=token and {TOKEN}, or remove that file."
        )
    return f"There is no token here; where the cluster asks for one, set {MODE}=token and {TOKEN} or {TOKEN_PATH}."


def _read_again() -> None:
    """Lets Ray read its variables again: it keeps what it has read for as long as the process lives."""
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()
