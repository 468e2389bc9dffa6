"""Process groups that end together with this process, even if it is killed."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress

_WATCHDOG = 'read _; kill -s KILL -- "-$0"'
"""Shell script that waits until its stdin is closed, and then kills a process group."""


class GroupWatchdog:
    """A process that kills a process group as soon as this process has ended, however it did.

    Args:
        group: the group, which is the id of the process that leads it.
    """

    def __init__(self, group: int) -> None:
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _WATCHDOG, str(group)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def end(self) -> None:
        """Ends the watchdog; the group goes on."""
        self._process.kill()
        self._process.wait()
        with suppress(OSError):
            self._process.stdin.close()  # type: ignore[union-attr]  # stdin is a pipe


def signal_group(group: int, number: signal.Signals) -> None:
    """Sends a signal to all processes of a group, if there are any left."""
    with suppress(ProcessLookupError, PermissionError):  # PermissionError: macOS raises it for a group of zombies
        os.killpg(group, number)


def describe_end(code: int) -> str:
    """Returns a description of how a program ended.

    Args:
        code: return code as in `subprocess`; a negative one is the number of a signal.
    """
    if code >= 0:
        return f"ended with exit code {code}"
    with suppress(ValueError):
        name = signal.Signals(-code).name
        return f"was ended by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
    return f"was ended by signal {-code}"
