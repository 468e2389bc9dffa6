"""A program in its own process group, ended together with all processes that it started."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from hpo.core.errors import TrainableError
from hpo.core.groups import GroupWatchdog, signal_group

POLL_SECONDS = 0.05
"""Seconds between two checks whether the processes have ended."""


@contextmanager
def running(
    arguments: Sequence[str], cwd: Path, environment: Mapping[str, str], output: tuple[Path, Path], grace: float
) -> Iterator[subprocess.Popen[bytes]]:
    """Starts a program, and ends it and all processes that it started when the block ends.

    If this process is killed, the program's group is killed too: its reports would be lost, and it would write into a
    folder that the next attempt uses.

    Args:
        arguments: arguments of the command line, beginning with the program.
        cwd: working directory of the program.
        environment: all environment variables of the program.
        output: files to which its stdout and its stderr are appended.
        grace: seconds that it may take to end after SIGTERM.

    Raises:
        TrainableError: if the program cannot be started.
    """
    with output[0].open("ab") as out, output[1].open("ab") as err:
        try:
            process = subprocess.Popen(
                arguments,
                cwd=cwd,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise TrainableError(_start_error(arguments[0], error)) from error
    watchdog = None
    try:
        watchdog = GroupWatchdog(process.pid)
        yield process
    finally:
        try:
            _end(process, grace)
        finally:
            if watchdog is not None:
                watchdog.end()


def _start_error(program: str, error: OSError | ValueError) -> str:
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.ENOENT:
        return f"the command was not found: there is no program {program!r} in PATH, and no such file in the project"
    if number == errno.EACCES:
        return f"the command {program!r} is not executable; run chmod +x, or put its interpreter before it, e.g. sh"
    if number == errno.ENOEXEC:
        return f"the command {program!r} is not a program; start it with #!, or put its interpreter before it, e.g. sh"
    return f"the command {program!r} cannot be started: {error}"


def _end(process: subprocess.Popen[bytes], grace: float) -> None:
    """Ends a program, its group, and its child processes in other groups: with SIGTERM, later with SIGKILL."""
    started = _descendants(process.pid)
    try:
        if process.poll() is None:
            signal_group(process.pid, signal.SIGTERM)
            end = time.monotonic() + grace
            while time.monotonic() < end and (process.poll() is None or _has_members(process.pid)):
                time.sleep(POLL_SECONDS)
    finally:  # Ctrl-C ends the waiting
        signal_group(process.pid, signal.SIGKILL)
        for child in started:
            with suppress(psutil.Error):
                child.kill()
        process.wait()


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        found: list[psutil.Process] = psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []
    return found


def _has_members(group: int) -> bool:
    """Whether a group has processes other than zombies, which may stay unreaped in a container."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                return True
    return False
