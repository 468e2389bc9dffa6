"""A program in a process group of its own that ends with all that it has started."""

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

NAP = 0.05
"""Seconds between two looks at processes that are to end."""

_WATCHDOG = 'read _; kill -s KILL -- "-$0"'
"""Of a shell: waits until whoever holds its stdin is gone, and ends a process group."""


@contextmanager
def running(
    arguments: Sequence[str], cwd: Path, environment: Mapping[str, str], output: tuple[Path, Path], grace: float
) -> Iterator[subprocess.Popen[bytes]]:
    """Starts a program, and ends it with all that it has started when the block ends.

    If this process is killed, so that the block does not end, the program's group is killed too: nobody would hear it,
    and it would write into a folder that the next attempt uses.

    Args:
        arguments: of the command line, the program first.
        cwd: where it begins.
        environment: all of its variables.
        output: files that get its stdout and its stderr, at their ends.
        grace: seconds that it may take to end after SIGTERM.

    Raises:
        TrainableError: if it cannot be started.
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
            raise TrainableError(_not_started(arguments[0], error)) from error
    watchdog = None
    try:
        watchdog = subprocess.Popen(
            ["/bin/sh", "-c", _WATCHDOG, str(process.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        yield process
    finally:
        try:
            _end(process, grace)
        finally:
            if watchdog is not None:
                watchdog.kill()
                watchdog.wait()
                with suppress(OSError):
                    watchdog.stdin.close()  # type: ignore[union-attr]  # it has one


def describe_end(code: int) -> str:
    """Returns how a program ended, in words.

    Args:
        code: as `subprocess` has it; a negative one is a signal's number.
    """
    if code >= 0:
        return f"ended with exit code {code}"
    with suppress(ValueError):
        name = signal.Signals(-code).name
        return f"was ended by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
    return f"was ended by signal {-code}"


def _not_started(program: str, error: OSError | ValueError) -> str:
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.ENOENT:
        return f"the command was not found: there is no program {program!r} in PATH, and no such file in the project"
    if number == errno.EACCES:
        return f"the command {program!r} may not be executed; say chmod +x, or name what runs it, e.g. sh, before it"
    if number == errno.ENOEXEC:
        return f"the command {program!r} is no program; let it begin with #!, or name what runs it, e.g. sh, before it"
    return f"the command {program!r} cannot be started: {error}"


def _end(process: subprocess.Popen[bytes], grace: float) -> None:
    """Ends a program, its group, and what it has started in other groups: by SIGTERM, later by SIGKILL."""
    started = _descendants(process.pid)
    try:
        if process.poll() is None:
            _signal(process, signal.SIGTERM)
            end = time.monotonic() + grace
            while time.monotonic() < end and (process.poll() is None or _has_members(process.pid)):
                time.sleep(NAP)
    finally:  # an interrupt meanwhile ends the waiting
        _signal(process, signal.SIGKILL)
        for one in started:
            with suppress(psutil.Error):
                one.kill()
        process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):  # PermissionError: on macOS, of a group of zombies
        os.killpg(process.pid, number)


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        found: list[psutil.Process] = psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []
    return found


def _has_members(group: int) -> bool:
    """Whether there are processes in a group that are more than zombies, which nobody may wait for in a container."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    for one in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(one.pid) == group and one.status() != psutil.STATUS_ZOMBIE:
                return True
    return False
