"""Keeps matplotlib quiet while it is loaded and draws."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Holds back what matplotlib says of its own affairs: a cache folder it cannot write, a letter its font lacks.

    The picture is whole all the same, and a user who promotes cannot do anything about it. Pictures are drawn into
    files, so a MPLBACKEND for windows or notebooks, which may not even be installed here, does not count.
    """
    backend = os.environ.get("MPLBACKEND")
    os.environ["MPLBACKEND"] = "agg"
    log = logging.getLogger("matplotlib")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(before)
        if backend is None:
            del os.environ["MPLBACKEND"]
        else:
            os.environ["MPLBACKEND"] = backend
