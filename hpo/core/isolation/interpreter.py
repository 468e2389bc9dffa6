"""Saves and restores the parts of the process that user code may change.

There are two groups. Parts that the driver uses too are swapped whenever a training begins or ends a step; the others
are restored once, when the training is over. The states of libraries are in `libraries`.
"""

from __future__ import annotations

import contextlib
import decimal
import faulthandler
import gc
import locale
import logging
import multiprocessing
import os
import random
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

try:
    import resource
except ImportError:  # Windows has no limits of this kind
    resource = None  # type: ignore[assignment]  # a module that may be missing


@dataclass(frozen=True, slots=True)
class State:
    """One part of the process.

    Attributes:
        name: name of the part, for the message if it cannot be restored.
        save: returns the current state of the part.
        restore: restores what `save` returned; cheap if nothing changed.
    """

    name: str
    save: Callable[[], Any]
    restore: Callable[[Any], None]


def _save_folder() -> str | None:
    try:
        return os.getcwd()
    except FileNotFoundError:  # it was deleted
        return None


def _restore_folder(saved: str | None) -> None:
    if saved is not None and saved != _save_folder():
        os.chdir(saved)


def _save_umask() -> int:
    mask = os.umask(0o077)  # it cannot be read without setting it
    os.umask(mask)
    return mask


def _restore_umask(saved: int) -> None:
    os.umask(saved)


def _restore_environment(saved: dict[str, str]) -> None:
    if os.environ == saved:
        return
    zone = os.environ.get("TZ")
    for name in set(os.environ) - set(saved):
        del os.environ[name]
    for name, value in saved.items():
        if os.environ.get(name) != value:
            os.environ[name] = value
    if os.environ.get("TZ") != zone and hasattr(time, "tzset"):
        time.tzset()  # otherwise the C library keeps the old zone


_STREAMS = ("stdin", "stdout", "stderr", "excepthook", "displayhook", "unraisablehook")
_LISTS = ("argv", "path", "meta_path", "path_hooks", "warnoptions")


def _save_interpreter() -> dict[str, Any]:
    return {
        "streams": {name: getattr(sys, name) for name in _STREAMS},
        "lists": {name: (getattr(sys, name), list(getattr(sys, name))) for name in _LISTS},
        "recursion": sys.getrecursionlimit(),
        "digits": sys.get_int_max_str_digits(),
        "timeout": socket.getdefaulttimeout(),
        "switch": sys.getswitchinterval(),
        "trace": (sys.gettrace(), sys.getprofile()),
        "thread_hook": threading.excepthook,
    }


def _is_of_package(finder: object) -> bool:
    """Whether an installed package added a finder to `sys.meta_path` when it was imported.

    It stays as the package does: the package will not be executed again, and may rely on it. importlib_metadata even
    takes the standard library's way to find distributions away; without its finder no package's version is found.
    """
    home = type(finder).__module__
    if home.partition(".")[0] == __name__.partition(".")[0]:
        return False
    file = getattr(sys.modules.get(home), "__file__", None)
    return file is not None and not {"site-packages", "dist-packages"}.isdisjoint(PurePath(file).parts)


def _restore_interpreter(saved: dict[str, Any]) -> None:
    for name, value in saved["streams"].items():
        setattr(sys, name, value)
    for name, (found, content) in saved["lists"].items():
        if found != content:
            kept = [one for one in found if one not in content and _is_of_package(one)] if name == "meta_path" else []
            found[:] = [*content, *kept]
        setattr(sys, name, found)
    if sys.getrecursionlimit() != saved["recursion"]:
        sys.setrecursionlimit(saved["recursion"])
    if sys.get_int_max_str_digits() != saved["digits"]:
        sys.set_int_max_str_digits(saved["digits"])
    socket.setdefaulttimeout(saved["timeout"])
    if sys.getswitchinterval() != saved["switch"]:
        sys.setswitchinterval(saved["switch"])
    if (sys.gettrace(), sys.getprofile()) != saved["trace"]:
        sys.settrace(saved["trace"][0])
        sys.setprofile(saved["trace"][1])
    threading.excepthook = saved["thread_hook"]


def _save_warnings() -> tuple[list[Any], Any]:
    return list(warnings.filters), warnings.showwarning


def _restore_warnings(saved: tuple[list[Any], Any]) -> None:
    filters, shown = saved
    warnings.showwarning = shown
    if list(warnings.filters) != filters:
        warnings.resetwarnings()  # also clears the warnings that were already shown
        warnings.filters.extend(filters)  # type: ignore[attr-defined]  # a list, though typed as a sequence


_HANDLED = ("INT", "TERM", "HUP", "QUIT", "ALRM", "USR1", "USR2", "CHLD", "PIPE", "TSTP", "VTALRM", "XCPU")
_SIGNALS = tuple(getattr(signal, f"SIG{name}") for name in _HANDLED if hasattr(signal, f"SIG{name}"))
"""Signals that programs usually handle; reading all of them would take longer than a short step of a training."""


def _save_signals() -> dict[str, Any] | None:
    if threading.current_thread() is not threading.main_thread():
        return None  # only the main thread may set handlers
    return {
        "handlers": {number: signal.getsignal(number) for number in _SIGNALS},
        "timer": signal.getitimer(signal.ITIMER_REAL) if hasattr(signal, "getitimer") else None,
        "mask": signal.pthread_sigmask(signal.SIG_BLOCK, []) if hasattr(signal, "pthread_sigmask") else None,
    }


def _restore_signals(saved: dict[str, Any] | None) -> None:
    if saved is None or threading.current_thread() is not threading.main_thread():
        return
    if saved["timer"] is not None and saved["timer"] != (0.0, 0.0):
        signal.setitimer(signal.ITIMER_REAL, *saved["timer"])
    elif saved["timer"] is not None and signal.getitimer(signal.ITIMER_REAL)[0]:
        signal.setitimer(signal.ITIMER_REAL, 0)  # an alarm of the training must not kill the driver
    for number, handler in saved["handlers"].items():
        if signal.getsignal(number) is not handler and handler is not None:
            signal.signal(number, handler)
    if saved["mask"] is not None and signal.pthread_sigmask(signal.SIG_BLOCK, []) != saved["mask"]:
        signal.pthread_sigmask(signal.SIG_SETMASK, saved["mask"])


def _save_logging() -> tuple[Any, ...]:
    root = logging.getLogger()
    return root.level, list(root.handlers), list(root.filters), logging.root.manager.disable, logging.getLoggerClass()


def _restore_logging(saved: tuple[Any, ...]) -> None:
    root = logging.getLogger()
    level, handlers, filters, disabled, cls = saved
    if root.level != level:
        root.setLevel(level)
    root.handlers[:], root.filters[:] = handlers, filters
    if logging.root.manager.disable != disabled:
        logging.disable(disabled)
    logging.setLoggerClass(cls)


def _save_locale() -> str:
    return locale.setlocale(locale.LC_ALL)


def _restore_locale(saved: str) -> None:
    if locale.setlocale(locale.LC_ALL) != saved:
        locale.setlocale(locale.LC_ALL, saved)


def _restore_decimal(saved: decimal.Context) -> None:
    decimal.setcontext(saved.copy())


def _save_gc() -> tuple[bool, tuple[int, int, int], list[Any], int]:
    return gc.isenabled(), gc.get_threshold(), list(gc.callbacks), gc.get_debug()


def _restore_gc(saved: tuple[bool, tuple[int, int, int], list[Any], int]) -> None:
    enabled, threshold, callbacks, debug = saved
    gc.set_threshold(*threshold)
    gc.callbacks[:] = callbacks
    gc.set_debug(debug)
    (gc.enable if enabled else gc.disable)()


_LIMITS = ("RLIMIT_AS", "RLIMIT_CORE", "RLIMIT_CPU", "RLIMIT_DATA", "RLIMIT_FSIZE", "RLIMIT_NOFILE", "RLIMIT_STACK")


def _save_limits() -> dict[int, tuple[int, int]]:
    if resource is None:
        return {}
    return {number: resource.getrlimit(number) for name in _LIMITS if (number := getattr(resource, name, None))}


def _restore_limits(saved: dict[int, tuple[int, int]]) -> None:
    for number, limits in saved.items():
        if resource.getrlimit(number) != limits:
            resource.setrlimit(number, limits)  # ValueError: the hard limit was lowered, which is permanent


def step_states() -> tuple[State, ...]:
    """Returns the parts that are swapped at each step."""
    return (
        State("working directory", _save_folder, _restore_folder),
        State("umask", _save_umask, _restore_umask),
        State("environment", lambda: dict(os.environ), _restore_environment),
        State("interpreter", _save_interpreter, _restore_interpreter),
        State("warnings", _save_warnings, _restore_warnings),
        State("signal handlers", _save_signals, _restore_signals),
        State("logging", _save_logging, _restore_logging),
        State("Python's generator", random.getstate, random.setstate),
        State("locale", _save_locale, _restore_locale),
        State("decimal context", lambda: decimal.getcontext().copy(), _restore_decimal),
        State("garbage collector", _save_gc, _restore_gc),
        State("resource limits", _save_limits, _restore_limits),
    )


def _save_loggers() -> dict[str, tuple[Any, ...]]:
    found = {}
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger):
            found[name] = (logger.level, logger.disabled, logger.propagate, list(logger.handlers), list(logger.filters))
    return found


def _restore_loggers(saved: dict[str, tuple[Any, ...]]) -> None:
    for name, (level, disabled, propagate, handlers, filters) in saved.items():
        logger = logging.getLogger(name)
        if logger.level != level:
            logger.setLevel(level)
        logger.disabled, logger.propagate = disabled, propagate
        logger.handlers[:], logger.filters[:] = handlers, filters


def _save_cores() -> set[int] | None:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None


def _restore_cores(saved: set[int] | None) -> None:
    if saved is not None and os.sched_getaffinity(0) != saved:
        os.sched_setaffinity(0, saved)


def _save_priority() -> int | None:
    return os.nice(0) if hasattr(os, "nice") else None


def _restore_priority(saved: int | None) -> None:
    if saved is not None and (now := os.nice(0)) != saved:
        os.nice(saved - now)


def _restore_start_method(saved: str | None) -> None:
    if multiprocessing.get_start_method(allow_none=True) != saved:
        multiprocessing.set_start_method(saved, force=True)


def training_states() -> tuple[State, ...]:
    """Returns the parts that are restored when the training is over."""
    return (
        State("loggers", _save_loggers, _restore_loggers),
        State("CPU affinity", _save_cores, _restore_cores),
        State("priority", _save_priority, _restore_priority),
        State(
            "start method of multiprocessing",
            lambda: multiprocessing.get_start_method(allow_none=True),
            _restore_start_method,
        ),
        # A training's watchdog must not kill the next training.
        State("watchdog", lambda: None, lambda _: faulthandler.cancel_dump_traceback_later()),
    )


def save(states: tuple[State, ...]) -> list[Any]:
    """Returns the current states of the parts."""
    return [state.save() for state in states]


def restore(states: tuple[State, ...], saved: list[Any]) -> list[str]:
    """Restores parts and returns the names of those that failed."""
    failed = []
    for state, value in zip(states, saved, strict=True):
        try:
            state.restore(value)
        except Exception as error:  # any error; the other parts must still be restored
            failed.append(f"{state.name} ({error})")
    return failed


@contextlib.contextmanager
def restored(*names: str) -> Any:
    """Restores the named parts of `step_states` at the end of the block."""
    states = tuple(state for state in step_states() if state.name in names)
    saved = save(states)
    try:
        yield
    finally:
        restore(states, saved)
