"""Isolates a training from the driver and from later trainings in the same process.

A step of a training runs with the training's own working directory, environment, warning filters, signal handlers and
so on; between two steps the driver has its own. When the training is over, everything else is restored too. Parts that
cannot be restored are reported, so that the worker process can be replaced.
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
from hpo.core.isolation.libraries import (
    BY_MODULE,
    THREAD_VARIABLES,
    Imports,
    ThreadPools,
    broken_imports,
    is_imported,
)
from hpo.core.isolation.lookups import Lookups
from hpo.core.isolation.project import ProjectState

WORKING = "cwd"
"""Name of the working directory in a training's folder."""

TUNE = "ray.tune"
"""The module by which a Ray Tune function reports."""

SETTLED = (*BY_MODULE, "tensorflow", TUNE)
"""Libraries that are configured (threads, determinism, seeds, session) as soon as they are imported."""

_SIGNALS = [state.name for state in interpreter.step_states()].index("signal handlers")
_ONE_AT_A_TIME = threading.RLock()  # the working directory belongs to the process, not to a thread
_running: list[Isolation] = []
"""The training whose step is running, if any."""


class Isolation:
    """The process state of one training.

    Args:
        folder: its working directory, created if missing.
        root: the project's folder.
        threads: threads for the pools of BLAS, OpenMP and torch.
        settle: called with the name of each library that is imported before or during the training.

    Attributes:
        folder: the training's working directory.
        handlers: the driver's signal handlers by number; empty outside a step.
        remarks: problems that were found and fixed when the training was over.
    """

    def __init__(self, folder: Path, root: Path, threads: int, settle: Callable[[str], None]) -> None:
        self.folder = folder
        self._root = root
        self._threads = threads
        self._settle = settle
        self._pools = ThreadPools(threads)
        self._step_states = (*interpreter.step_states(), *libraries.step_states())
        self._own: list[Any] | None = None
        self._saved: list[tuple[interpreter.State, Any]] = []
        self._project: ProjectState | None = None
        self._leftovers: Leftovers | None = None
        self._imports = Imports(SETTLED, self._library_loaded)
        self._settled: set[str] = set()
        self._exits = ExitFunctions(root)
        self._lookups = Lookups(root, folder)
        self._pid = os.getpid()
        self._failed: list[str] = []
        self.handlers: dict[int, Any] = {}
        self.remarks: list[str] = []

    def begin(self, trainable: str) -> None:
        """Saves the state of the process before the first step.

        Args:
            trainable: the module of the trainable.
        """
        self._saved = [(state, state.save()) for state in interpreter.training_states()]
        self._saved += [(state, state.save()) for name, state in BY_MODULE.items() if is_imported(name)]
        self._project = ProjectState(self._root, trainable)
        self._leftovers = Leftovers(self._root)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Switches to the training's state until the end of the block.

        Raises:
            OSError: if the working directory cannot be created.
        """
        with _ONE_AT_A_TIME:
            outer = interpreter.save(self._step_states)
            modules = len(sys.modules)
            self._pools.limit()
            self.handlers = (outer[_SIGNALS] or {}).get("handlers", {})
            _running.append(self)
            try:
                self._enter()
                with self._exits.collecting(), self._lookups.recording():
                    yield
            finally:
                self.end_fork()
                _running.remove(self)
                self._pools.unlimit()
                if self._project is not None:
                    self._project.imported(islice(tuple(sys.modules), modules, None))
                self._own = interpreter.save(self._step_states)
                self._failed += interpreter.restore(self._step_states, outer)

    def end_fork(self) -> None:
        """Ends this process if it is a fork by user code that continued into ours: there must be one driver."""
        if os.getpid() != self._pid:
            _end_child()

    def look(self) -> None:
        """Ends leftover pools and child processes, and adds a remark on them and on leftover threads.

        A remark also names files that were looked up in the working directory but are in the project.
        """
        if self._leftovers is None:
            return
        self._failed += [f"an import of {name} that failed halfway" for name in broken_imports(tuple(BY_MODULE))]
        if (missed := self._lookups.remark()) is not None and missed not in self.remarks:
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
        """Restores everything and returns the parts that failed; if any did, this process should not train again."""
        if self._exits:
            with suppress(OSError), self.inside():  # OSError: their folder cannot be created
                self._exits.call()
        if self._leftovers is not None:
            self.look()
            self._leftovers = None
        if self._project is not None:
            self._project.restore()
            self._project = None
        states, values = [state for state, _ in self._saved], [value for _, value in self._saved]
        self._saved = []
        self._failed += interpreter.restore(tuple(states), values)
        return self.unrestored

    @property
    def unrestored(self) -> tuple[str, ...]:
        """The parts of the process that could not be restored so far."""
        return tuple(dict.fromkeys(self._failed))

    def _enter(self) -> None:
        if self._own is None:
            self._go()
            for name in THREAD_VARIABLES:
                os.environ[name] = str(self._threads)
            if os.environ.get("MPLBACKEND", "").startswith("module://"):
                del os.environ["MPLBACKEND"]  # set by a notebook; another process may lack that backend
            sys.meta_path.insert(0, self._imports)
        else:
            interpreter.restore(self._step_states, self._own)
            if self._own[0] is None or not Path(self._own[0]).is_dir():
                self._go()
        for name in SETTLED:
            if name not in self._settled and is_imported(name):  # before the training, or by hpo between two steps
                self._library_loaded(name)

    def _go(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        os.chdir(self.folder)

    def _library_loaded(self, name: str) -> None:
        """Configures a library that is imported during a training as if it had been imported before."""
        if os.getpid() == self._pid and self in _running:
            self._settled.add(name)
            if name in BY_MODULE and BY_MODULE[name] not in [state for state, _ in self._saved]:
                self._saved.append((BY_MODULE[name], BY_MODULE[name].save()))
            self._settle(name)


@contextmanager
def in_project(root: Path) -> Iterator[None]:
    """Runs a project's code outside a training, in the project's folder, and restores what it changes.

    Args:
        root: the project's folder.
    """
    states = (*interpreter.step_states(), *libraries.step_states())
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
        folder: folder of the training.
    """
    return folder / WORKING


def clear_working_folder(folder: Path, before: float | None = None) -> None:
    """Deletes a training's working directory, or only the old files in it.

    Args:
        folder: folder of the training.
        before: Unix time in seconds; only files last written before it are deleted; None: all.
    """
    if before is None:
        shutil.rmtree(working_folder(folder), ignore_errors=True)
        return
    for path in working_folder(folder).rglob("*"):
        with suppress(OSError):  # deleted already
            if not path.is_dir() and path.lstat().st_mtime < before:
                path.unlink()


def _counted(names: list[str], one: str, more: str) -> str:
    shown = ", ".join(dict.fromkeys(names[:5]))
    return f"{len(names)} {one if len(names) == 1 else more} ({shown}{', ...' if len(names) > 5 else ''})"


def _end_child() -> None:
    with suppress(Exception):  # the process ends anyway
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(1)


def _is_drivers(number: int, handler: Any) -> bool:
    """Whether a handler was set before the training rather than by it."""
    if handler is None:  # set by a library in C, as Ray does
        return number == signal.SIGTERM
    if not callable(handler) or handler is signal.default_int_handler:
        return False
    ours = str(getattr(handler, "__module__", "")).startswith("hpo.")
    return ours or handler is _running[-1].handlers.get(number)


def _in_child() -> None:
    """Resets the signal handlers of a process that a training forks, because the driver's handlers would ignore
    signals.

    SIGTERM ends the process. SIGINT, which a terminal sends to all processes, is left to the driver.
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
