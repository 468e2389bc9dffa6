"""Finds and ends what a training leaves behind: threads, child processes, exit functions."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

from hpo.core.isolation.project import is_of_project

GRACE_SECONDS = 0.3
"""How long threads may take to end on their own."""

END_SECONDS = 2.0
"""How long child processes may take to end after SIGTERM."""

_WAITING = ("Pool.", "Queue.")
"""Classes of multiprocessing that wait for their processes when they are garbage-collected or this process ends."""

_SHARED = ("resource_tracker", "forkserver")
"""Helper processes of multiprocessing, which serve the whole process."""


class Leftovers:
    """Threads and processes from before a training, to distinguish them from its leftovers.

    Args:
        root: the project's folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._threads = {id(thread) for thread in threading.enumerate()}
        self._children = set(_children())
        self._finalizers = set(_finalizers())

    def threads(self) -> list[str]:
        """Returns the names of threads that run project code, or would keep the process from ending."""
        end = time.monotonic() + GRACE_SECONDS
        while (left := [thread for thread in self._new() if self._disturbs(thread)]) and time.monotonic() < end:
            time.sleep(0.01)
        return [thread.name for thread in left]

    def end_pools(self) -> tuple[list[str], list[str]]:
        """Ends leftover pools and queues of multiprocessing, and returns the names of all and of those that did not
        end.

        This comes before their processes are ended: a killed process may hold a lock, for which the pool would wait
        when it is garbage-collected.
        """
        found = {key: one for key, one in _finalizers().items() if key not in self._finalizers}
        left = [found[key] for key in sorted(found, reverse=True)]  # in the order of Python's exit
        if not left:
            return [], []
        names, begun = [_name(one).partition(".")[0] for one in left], 0

        def end() -> None:
            nonlocal begun
            for begun, one in enumerate(left):  # noqa: B007  read outside if one does not end
                with suppress(Exception):  # errors of user code do not matter here
                    one()

        thread = threading.Thread(target=end, daemon=True)
        thread.start()
        thread.join(END_SECONDS)
        if not thread.is_alive():
            return names, []
        for one in left[begun + 1 :]:
            one.cancel()
        return names, names[begun:]

    def end_children(self) -> list[str]:
        """Ends leftover child processes and returns their names."""
        new = [pid for pid in _children() if pid not in self._children]
        if not new:
            return []
        if (loky := sys.modules.get("joblib.externals.loky.reusable_executor")) is not None:
            executor = getattr(loky, "_executor", None)  # the pool that joblib reuses
            if executor is not None:
                executor.shutdown(wait=True, kill_workers=True)
        found = []
        for pid in new:
            with suppress(psutil.Error):
                child = psutil.Process(pid)
                command = " ".join(child.cmdline())
                if child.status() != psutil.STATUS_ZOMBIE and not any(name in command for name in _SHARED):
                    found += [child, *child.children(recursive=True)]
        names = []
        for process in found:
            with suppress(psutil.Error):
                names.append(process.name())
                process.terminate()
        _, alive = psutil.wait_procs(found, timeout=END_SECONDS)
        for process in alive:
            with suppress(psutil.Error):
                process.kill()
        return names

    def _new(self) -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if id(thread) not in self._threads and thread.is_alive()]

    def _disturbs(self, thread: threading.Thread) -> bool:
        frames = [Path(frame.f_code.co_filename) for frame in _frames(thread)]
        if any(is_of_project(str(file), self._root) for file in frames):
            return True
        # a thread of an executor that waits for work
        idle = any(file.parts[-2:] == ("futures", "thread.py") for file in frames)
        return not thread.daemon and not idle


class ExitFunctions:
    """Exit functions that the project's code registers: they are called when the training ends.

    Those of libraries stay registered with the process.

    Args:
        root: the project's folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._found: list[tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]]] = []
        self._register = atexit.register

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Collects functions that are registered within the block."""
        self._register = atexit.register
        atexit.register = self._take  # type: ignore[assignment]  # for the duration of the step
        try:
            yield
        finally:
            atexit.register = self._register

    def call(self) -> None:
        """Calls them in reverse order, as Python does."""
        while self._found:
            function, args, options = self._found.pop()
            with suppress(BaseException):  # errors are ignored as at the end of a process, sys.exit too
                function(*args, **options)

    def __len__(self) -> int:
        return len(self._found)

    def _take(self, function: Callable[..., object], *args: object, **options: object) -> Callable[..., object]:
        code = getattr(getattr(function, "__func__", function), "__code__", None)
        if code is None or not is_of_project(code.co_filename, self._root):
            return self._register(function, *args, **options)
        self._found.append((function, args, options))
        return function


def _finalizers() -> dict[tuple[int, int], Any]:
    """Returns the finalizers of multiprocessing's pools and queues, by their order at exit."""
    registry = getattr(sys.modules.get("multiprocessing.util"), "_finalizer_registry", {})
    return {key: one for key, one in list(registry.items()) if key[0] is not None and _name(one).startswith(_WAITING)}


def _name(finalizer: Any) -> str:
    return str(getattr(getattr(finalizer, "_callback", None), "__qualname__", ""))


def _frames(thread: threading.Thread) -> Iterator[FrameType]:
    frame = sys._current_frames().get(thread.ident or -1)  # documented for debugging
    while frame is not None:
        yield frame
        frame = frame.f_back


def _children() -> list[int]:
    """Returns the pids of this process's children; reads them from /proc on Linux, which is fast."""
    found: list[int] = []
    try:
        for task in Path("/proc/self/task").iterdir():
            with suppress(FileNotFoundError):  # a thread that has just ended
                found += [int(pid) for pid in (task / "children").read_text().split()]
        return found
    except OSError:
        return [child.pid for child in psutil.Process(os.getpid()).children()]
