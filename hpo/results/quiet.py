"""Silences matplotlib while it is imported and draws."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Suppresses matplotlib's warnings, e.g. about an unwritable cache folder or a glyph that its font lacks.

    The figure is complete nevertheless, and the user cannot act on them. Figures are drawn into files, so a MPLBACKEND
    for windows or notebooks, which may not be installed here, is replaced.
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
