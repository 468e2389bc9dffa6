"""SIGINT and SIGTERM: the first ends the work in order, the second at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
            end_children()
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

    def end_process(self, why: str) -> None:
        """Says why and ends this process with all that it has started, whatever its main thread does."""
        shown = "\x1b[?25h" if sys.stderr.isatty() else ""  # the cursor, which a live table hides
        os.write(sys.stderr.fileno(), f"{shown}\n{why}\nGo on with: {self._command}\n".encode())
        end_children()
        os._exit(self.exit_status or 1)


def end_children() -> None:
    """Kills all processes that this one has started, and those that they have started."""
    import psutil  # 40 ms, which only a hurried end should pay

    for _ in range(5):  # one may start another meanwhile
        children = psutil.Process().children(recursive=True)
        for child in children:
            with suppress(psutil.Error):
                child.kill()
        psutil.wait_procs(children, timeout=0.2)
        if not children:
            return


def tell_of_threads(seconds: float = 5.0) -> None:
    """Says, if it takes longer, that the process waits for threads of trainings to end, as Python does at its end.

    Args:
        seconds: after how many it is said.
    """

    def left() -> list[str]:
        return [one.name for one in threading.enumerate() if not one.daemon and one is not threading.main_thread()]

    def tell() -> None:
        time.sleep(seconds)
        if names := left():
            said = f"waiting for what trainings left running: {', '.join(names[:5])}. Ctrl-C ends it\n"
            os.write(2, said.encode(errors="backslashreplace"))

    if left():
        threading.Thread(target=tell, daemon=True).start()
