"""SIGINT and SIGTERM: the first ends the work in order, the second at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopSignal:
    """A stop that is set by a signal.

    Attributes:
        exit_status: 128 + the signal's number once one has come, else 0.
    """

    def __init__(self, command: str) -> None:
        self.exit_status = 0
        self._command = command
        self._event = threading.Event()

    def is_set(self) -> bool:
        """Whether to stop."""
        return self._event.is_set()

    @contextmanager
    def armed(self) -> Iterator[StopSignal]:
        """Listens until the block ends."""
        before = {number: signal.signal(number, self._heard) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _heard(self, number: int, _frame: FrameType | None) -> None:
        if self._event.is_set():
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self.exit_status = 128 + number
        self._event.set()
        message = (
            "\nStopping: what runs ends its epoch and is checkpointed (once more stops at once). "
            f"Go on with: {self._command}\n"
        )
        os.write(sys.stderr.fileno(), message.encode())  # print is not safe in a handler
