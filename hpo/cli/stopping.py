"""SIGINT and SIGTERM: the first signal ends the work in order, the second at once."""

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
    """A `Stop` that is set by a signal.

    Args:
        command: the command that goes on with the work.

    Attributes:
        exit_status: 128 + the signal's number once a signal has arrived, else 0.
        is_shown: whether a live table shows that the work is being ended, so that nothing else has to say it.
    """

    def __init__(self, command: str) -> None:
        self.exit_status = 0
        self.is_shown = False
        self._command = command
        self._event = threading.Event()

    def is_set(self) -> bool:
        """Whether a signal has arrived."""
        return self._event.is_set()

    @contextmanager
    def armed(self) -> Iterator[StopSignal]:
        """Handles signals until the block ends."""
        before = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self._event.is_set():
            if sys.stderr.isatty():  # the live table hides the cursor; elsewhere the first signal's message is there
                os.write(sys.stderr.fileno(), f"\x1b[?25h\nContinue with: {self._command}\n".encode())
            end_children()
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self.exit_status = 128 + number
        self._event.set()
        if self.is_shown:
            return
        message = (
            "\nStopping: running trainings finish their epoch and are checkpointed (again: stops at once). "
            f"Continue with: {self._command}\n"
        )
        os.write(sys.stderr.fileno(), message.encode())  # print is not safe in a signal handler

    def end_process(self, why: str) -> None:
        """Prints the reason and kills this process and its children, whatever its main thread does."""
        shown = "\x1b[?25h" if sys.stderr.isatty() else ""  # shows the cursor, which a live table hides
        os.write(sys.stderr.fileno(), f"{shown}\n{why}\nContinue with: {self._command}\n".encode())
        end_children()
        os._exit(self.exit_status or 1)


def end_children() -> None:
    """Kills all child processes, recursively."""
    import psutil  # takes 40 ms to import, so only when needed

    for _ in range(5):  # a child may start another meanwhile
        children = psutil.Process().children(recursive=True)
        for child in children:
            with suppress(psutil.Error):
                child.kill()
        psutil.wait_procs(children, timeout=0.2)
        if not children:
            return


def tell_of_threads(seconds: float = 5.0) -> None:
    """Prints a message if the exit of the process waits long for threads that trainings have left running.

    Args:
        seconds: seconds of waiting after which the message is printed.
    """

    def left() -> list[str]:
        return [one.name for one in threading.enumerate() if not one.daemon and one is not threading.main_thread()]

    def tell() -> None:
        time.sleep(seconds)
        if names := left():
            message = f"waiting for threads that trainings left running: {', '.join(names[:5])}. Ctrl-C ends them\n"
            os.write(2, message.encode(errors="backslashreplace"))

    if left():
        threading.Thread(target=tell, daemon=True).start()
