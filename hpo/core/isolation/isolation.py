"""Keeps a training apart from the driver and from the next training in the same process.

A step of a training runs in the training's own working directory, environment, warning filters, signal handlers and so
on; between two steps the driver has its own. When the training is over, the rest is put back too. What cannot be put
back is said, so that a worker can be replaced by a new process.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any

from hpo.core.isolation import interpreter, libraries
from hpo.core.isolation.leftovers import ExitFunctions, Leftovers
from hpo.core.isolation.libraries import BY_MODULE, THREAD_VARIABLES, Imports, ThreadPools, is_imported
from hpo.core.isolation.lookups import Lookups
from hpo.core.isolation.project import ProjectState

WORKING = "cwd"
"""Below a training's folder: its working directory."""

SETTLED = (*BY_MODULE, "tensorflow")
"""Libraries that have to be told of threads, determinism or seeds as soon as they are there."""

_SIGNALS = [state.name for state in interpreter.exchanged()].index("signal handlers")
_ONE_AT_A_TIME = threading.RLock()  # the working directory belongs to the process, not to a thread
_running: list[Isolation] = []
"""The training whose step is under way, if one is."""


class Isolation:
    """One training's part of the process.

    Args:
        folder: its working directory; made if it is missing.
        root: the project's folder.
        threads: that the pools of BLAS, OpenMP and torch may use.
        settle: called with the name of a library that is there when the training begins, or is imported during it.

    Attributes:
        folder: the training's working directory.
        handlers: of signals, by number, as the driver has them; empty outside a step.
        remarks: what was found and mended when the training was over.
    """

    def __init__(self, folder: Path, root: Path, threads: int, settle: Callable[[str], None]) -> None:
        self.folder = folder
        self._root = root
        self._threads = threads
        self._settle = settle
        self._pools = ThreadPools(threads)
        self._exchanged = (*interpreter.exchanged(), *libraries.exchanged())
        self._own: list[Any] | None = None
        self._put_back: list[tuple[interpreter.State, Any]] = []
        self._project: ProjectState | None = None
        self._leftovers: Leftovers | None = None
        self._imports = Imports(SETTLED, self._library_loaded)
        self._exits = ExitFunctions(root)
        self._lookups = Lookups(root, folder)
        self._pid = os.getpid()
        self._failed: list[str] = []
        self.handlers: dict[int, Any] = {}
        self.remarks: list[str] = []

    def begin(self, trainable: str) -> None:
        """Notes how the process is before the first step.

        Args:
            trainable: the module that the trainable is in.
        """
        self._put_back = [(state, state.save()) for state in interpreter.put_back()]
        self._put_back += [(state, state.save()) for name, state in BY_MODULE.items() if is_imported(name)]
        self._project = ProjectState(self._root, trainable)
        self._leftovers = Leftovers(self._root)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Gives the process to the training until the end of the block, and then back.

        Raises:
            OSError: if there can be no working directory.
        """
        with _ONE_AT_A_TIME:
            outer = interpreter.save(self._exchanged)
            modules = len(sys.modules)
            self._pools.limit()
            self.handlers = (outer[_SIGNALS] or {}).get("handlers", {})
            _running.append(self)
            try:
                self._enter()
                with self._exits.taken(), self._lookups.noticed():
                    yield
            finally:
                self.end_fork()
                _running.remove(self)
                self._pools.unlimit()
                if self._project is not None:
                    self._project.imported(islice(tuple(sys.modules), modules, None))
                self._own = interpreter.save(self._exchanged)
                self._failed += interpreter.restore(self._exchanged, outer)

    def end_fork(self) -> None:
        """Ends this process where user code has forked it and let it run on into ours: there must be one driver."""
        if os.getpid() != self._pid:
            _end_child()

    def look(self) -> None:
        """Ends pools and child processes that are left and says so in a remark, as of threads that are left.

        A remark says too what was looked for in the working directory and is in the project.
        """
        if self._leftovers is None:
            return
        if (missed := self._lookups.said()) is not None and missed not in self.remarks:
            self.remarks.append(missed)
        pools, stuck = self._leftovers.end_pools()
        if "Pool" in pools:
            self.remarks.append(f"left {_counted(pools, 'pool or queue', 'pools and queues')} open; ended")
        if stuck:
            self._failed.append(f"{_counted(stuck, 'pool or queue', 'pools and queues')} that did not end")
        if ended := self._leftovers.end_children():
            self.remarks.append(f"left {_counted(ended, 'child process', 'child processes')} running; ended")
        if threads := self._leftovers.threads():
            self._failed.append(f"{_counted(threads, 'thread', 'threads')} still running")

    def end(self) -> tuple[str, ...]:
        """Puts everything back, and returns what could not be: this process should not train anything else."""
        if self._exits:
            with suppress(OSError), self.inside():  # OSError: there is no folder for them
                self._exits.call()
        if self._leftovers is not None:
            self.look()
            self._leftovers = None
        if self._project is not None:
            self._project.restore()
            self._project = None
        states, values = [state for state, _ in self._put_back], [value for _, value in self._put_back]
        self._put_back = []
        self._failed += interpreter.restore(tuple(states), values)
        return self.spoiled

    @property
    def spoiled(self) -> tuple[str, ...]:
        """What of the process could not be put back so far."""
        return tuple(dict.fromkeys(self._failed))

    def _enter(self) -> None:
        if self._own is not None:
            interpreter.restore(self._exchanged, self._own)
            if self._own[0] is None or not Path(self._own[0]).is_dir():
                self._go()
            return
        self._go()
        for name in THREAD_VARIABLES:
            os.environ[name] = str(self._threads)
        if os.environ.get("MPLBACKEND", "").startswith("module://"):
            del os.environ["MPLBACKEND"]  # a notebook's, which a process of its own may not have
        sys.meta_path.insert(0, self._imports)
        for name in SETTLED:
            if is_imported(name):
                self._settle(name)

    def _go(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        os.chdir(self.folder)

    def _library_loaded(self, name: str) -> None:
        """Treats a library that is imported in the midst of a training as if it had been there before."""
        if os.getpid() == self._pid and self in _running:
            if name in BY_MODULE:
                self._put_back.append((BY_MODULE[name], BY_MODULE[name].save()))
            self._settle(name)


@contextmanager
def in_project(root: Path) -> Iterator[None]:
    """Runs code of a project outside a training: in the project's folder, with nothing left of what it changes.

    Args:
        root: the project's folder.
    """
    states = (*interpreter.exchanged(), *libraries.exchanged())
    with _ONE_AT_A_TIME:
        before = interpreter.save(states)
        try:
            if root.is_dir():
                os.chdir(root)
            yield
        finally:
            interpreter.restore(states, before)


def working_folder(folder: Path) -> Path:
    """Returns a training's working directory.

    Args:
        folder: of the training.
    """
    return folder / WORKING


def clear_working_folder(folder: Path, before: float | None = None) -> None:
    """Deletes a training's working directory, if it has one, or what is old in it.

    Args:
        folder: of the training.
        before: seconds since the epoch: only files that were last written before are deleted; None: all.
    """
    if before is None:
        shutil.rmtree(working_folder(folder), ignore_errors=True)
        return
    for path in working_folder(folder).rglob("*"):
        with suppress(OSError):  # gone already
            if not path.is_dir() and path.lstat().st_mtime < before:
                path.unlink()


def _counted(names: list[str], one: str, more: str) -> str:
    shown = ", ".join(dict.fromkeys(names[:5]))
    return f"{len(names)} {one if len(names) == 1 else more} ({shown}{', ...' if len(names) > 5 else ''})"


def _end_child() -> None:
    with suppress(Exception):  # nothing is of use any more
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(1)


def _is_drivers(number: int, handler: Any) -> bool:
    """Whether a handler was there before the training, rather than set by it."""
    if handler is None:  # set by a library in C, as Ray does
        return number == signal.SIGTERM
    if not callable(handler) or handler is signal.default_int_handler:
        return False
    ours = str(getattr(handler, "__module__", "")).startswith("hpo.")
    return ours or handler is _running[-1].handlers.get(number)


def _in_child() -> None:
    """Gives a process that a training forks the usual answers to signals: the driver's would let it ignore them.

    SIGTERM ends it. SIGINT, which a terminal sends to all, is for the driver to decide on.
    """
    if not _running:
        return
    for number, answer in ((signal.SIGTERM, signal.SIG_DFL), (signal.SIGINT, signal.SIG_IGN)):
        handler = signal.getsignal(number)
        if _is_drivers(number, handler):
            with suppress(ValueError):  # not in a main thread
                signal.signal(number, answer)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
