"""What a training leaves for later: threads, child processes, functions to be called when the process ends."""

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
"""How long threads may take to end by themselves."""

END_SECONDS = 2.0
"""How long child processes may take to end once they are told to."""

_WAITING = ("Pool.", "Queue.")
"""Of multiprocessing: they wait for their processes when they are no longer used, or when this process ends."""

_SHARED = ("resource_tracker", "forkserver")
"""Helpers of multiprocessing's own, which serve the whole process."""


class Leftovers:
    """What runs in this process before a training begins, to tell it from what the training leaves.

    Args:
        root: the project's folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._threads = {id(thread) for thread in threading.enumerate()}
        self._children = set(_children())
        self._finalizers = set(_finalizers())

    def threads(self) -> list[str]:
        """Returns the names of threads that run code of the project, or would keep the process from ending."""
        end = time.monotonic() + GRACE_SECONDS
        while (left := [thread for thread in self._new() if self._disturbs(thread)]) and time.monotonic() < end:
            time.sleep(0.01)
        return [thread.name for thread in left]

    def end_pools(self) -> tuple[list[str], list[str]]:
        """Ends multiprocessing's pools and queues that are left, and returns the names of all and of those still there.

        It has to be done before their processes are ended: one that is ended may hold a lock, for which the pool would
        wait as soon as nothing refers to it any more.
        """
        found = {key: one for key, one in _finalizers().items() if key not in self._finalizers}
        left = [found[key] for key in sorted(found, reverse=True)]  # as Python would at its end
        if not left:
            return [], []
        names, begun = [_name(one).partition(".")[0] for one in left], 0

        def end() -> None:
            nonlocal begun
            for begun, one in enumerate(left):  # noqa: B007  seen from outside where one does not end
                with suppress(Exception):  # they are of user code; what matters is that they do not come back
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
        """Ends the child processes that are left and returns their names."""
        new = [pid for pid in _children() if pid not in self._children]
        if not new:
            return []
        if (loky := sys.modules.get("joblib.externals.loky.reusable_executor")) is not None:
            executor = getattr(loky, "_executor", None)  # the pool that joblib keeps for its next call
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
        idle = any(file.parts[-2:] == ("futures", "thread.py") for file in frames)  # an executor's, waiting for work
        return not thread.daemon and not idle


class ExitFunctions:
    """Functions of the project that a training wants to be called at the end of its process: they are at its own end.

    Those of libraries are left to the process, which they serve.

    Args:
        root: the project's folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._found: list[tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]]] = []
        self._register = atexit.register

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Takes what is registered until the block ends."""
        self._register = atexit.register
        atexit.register = self._take  # type: ignore[assignment]  # for as long as the training has the process
        try:
            yield
        finally:
            atexit.register = self._register

    def call(self) -> None:
        """Calls them, the last one first, as Python would."""
        while self._found:
            function, args, options = self._found.pop()
            with suppress(BaseException):  # as little is made of it as at the end of a process; also of an exit
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
    """Returns what multiprocessing would call at the end of this process for its pools and queues, by its order."""
    registry = getattr(sys.modules.get("multiprocessing.util"), "_finalizer_registry", {})
    return {key: one for key, one in list(registry.items()) if key[0] is not None and _name(one).startswith(_WAITING)}


def _name(finalizer: Any) -> str:
    return str(getattr(getattr(finalizer, "_callback", None), "__qualname__", ""))


def _frames(thread: threading.Thread) -> Iterator[FrameType]:
    frame = sys._current_frames().get(thread.ident or -1)  # documented, for debugging
    while frame is not None:
        yield frame
        frame = frame.f_back


def _children() -> list[int]:
    """Returns this process's children. Where Linux lists them no other process has to be looked at."""
    found: list[int] = []
    try:
        for task in Path("/proc/self/task").iterdir():
            with suppress(FileNotFoundError):  # a thread that has just ended
                found += [int(pid) for pid in (task / "children").read_text().split()]
        return found
    except OSError:
        return [child.pid for child in psutil.Process(os.getpid()).children()]
