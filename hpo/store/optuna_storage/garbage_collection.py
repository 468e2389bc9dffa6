"""Switches Python's garbage collector off while very many objects are loaded."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Switches the collector off: a stored study loads as a million objects that all stay, and repeated collections
    take as long as the loading.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
