"""A training that blocks or grows in its second step, and imports no library, which would take time and memory."""

from __future__ import annotations

import ctypes
import importlib
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from hpo import Context, Metrics


@dataclass(frozen=True, slots=True)
class ExceedsParams:
    """Params of the training.

    Attributes:
        x: the value that it reports.
        fault: what it does in its second step.
    """

    x: float
    fault: str = ""


def train(params: ExceedsParams, ctx: Context) -> Iterator[Metrics]:
    """Yields `val`."""
    for step in range(1, ctx.budget + 1):
        if step == 2:
            _exceed(params.fault)
        yield {"val": params.x}


def _exceed(fault: str) -> None:
    match fault:
        case "block":
            time.sleep(600)
        case "swallow":
            while True:
                with suppress(BaseException):  # an interrupt too
                    time.sleep(600)
        case "hold":  # no other thread of the process runs meanwhile
            ctypes.PyDLL(None).sleep(600)
        case "grow":
            held = bytearray(300 * 2**20)
            while held:
                time.sleep(0.1)
        case "import":
            importlib.import_module("toys.imported_slowly")
            time.sleep(600)
