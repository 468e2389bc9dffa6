"""Worker processes of this machine: how they start, what ends them, and why they died."""

from __future__ import annotations

import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection

from hpo.backends.processes.orders import Answer, Import, Order
from hpo.core.groups import GroupWatchdog, describe_end, signal_group
from hpo.core.protocols import TrainableRef
from hpo.core.redaction import driver_variables

LONGEST_REASON = 400
"""Characters of a dead worker's own last words; what matters comes last in them."""

DRAIN_SECONDS = 2.0
"""How long the last messages of a dead worker may take."""

_START = "import sys; sys.path[:] = {path!r}; from hpo.backends.processes.main import main; main({channel})"


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a worker process.

    Attributes:
        worker: the process that it is about.
        answer: what it sent; None: it has died.
    """

    worker: WorkerProcess
    answer: Answer | None


class WorkerProcess:
    """One worker process; its answers and its death become events.

    It leads a session of its own, so that Ctrl-C in a terminal reaches the driver alone, which ends the work in order.
    A process that a training starts belongs to its group, and ends with it.

    Args:
        events: receives its events, from threads.
        variables: environment variables that only this worker has.

    Attributes:
        pending: how many answers are to come before it can train: that it has started, and has imported.
        trial: the bridge's name for the task that it trains; None: it trains nothing.
        reason: why it died; empty while it lives.
        closes_until: when the training that is over must be closed, by the monotonic clock; None: there is none.
    """

    def __init__(self, events: queue.SimpleQueue[Event], variables: Mapping[str, str]) -> None:
        self.pending = 1
        self.trial: str | None = None
        self.closes_until: float | None = None
        self.reason = ""
        self._is_gone = False  # then its number may be another process's
        self._events = events
        hidden = set(driver_variables(of_ray=True))
        environment = {name: value for name, value in os.environ.items() if name not in hidden} | dict(variables)
        ours, theirs = socket.socketpair()
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  as long as the process
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START.format(path=sys.path, channel=theirs.fileno())],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._watchdog = GroupWatchdog(self._process.pid)
        self._channel = Connection(ours.detach())
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._waiter = threading.Thread(target=self._wait, daemon=True)
        self._waiter.start()

    @property
    def is_free(self) -> bool:
        """Whether it can take a task."""
        return not self.pending and self.trial is None and self.closes_until is None

    def send(self, order: Order) -> None:
        """Sends an order; if the process is dead it is lost, and an event says so."""
        self.pending += isinstance(order, Import)
        with suppress(OSError):
            self._channel.send(order)

    def send_pickled(self, order: bytes) -> None:
        """Sends a task whose function only cloudpickle can pickle."""
        with suppress(OSError):
            self._channel.send_bytes(order)

    def kill(self) -> None:
        """Kills the process and its group; an event follows."""
        if not self._is_gone:
            signal_group(self._process.pid, signal.SIGKILL)

    def join(self) -> None:
        """Waits until the killed process is gone."""
        self._waiter.join()

    def _read(self) -> None:
        try:
            while True:
                self._events.put(Event(self, self._channel.recv()))
        except Exception:  # it is closed, or a training has written to it: the process is of no use any more
            self.kill()

    def _wait(self) -> None:
        how = f"its process {describe_end(self._process.wait())}"
        self.kill()  # what it has started
        self._is_gone = True
        self._reader.join(DRAIN_SECONDS)
        self._watchdog.end()
        words = self._last_words()
        self.reason = f"{how}: {words}" if words else how
        self._output.close()
        if not self._reader.is_alive():  # else a process that has left the group holds the other end
            self._channel.close()
        self._events.put(Event(self, None))

    def _last_words(self) -> str:
        """Returns the end of what the process itself has written, e.g. a compiled library's error."""
        file = self._output.fileno()
        text = os.pread(file, 4 * LONGEST_REASON, max(0, os.fstat(file).st_size - 4 * LONGEST_REASON))
        return " ".join(text.decode(errors="replace").split())[-LONGEST_REASON:]


class ProcessPool:
    """Worker processes that last for several commands; `fill` starts them and `close` ends them.

    Args:
        slots: environment variables of each worker.
        trainable: what they import before there is a task; None: nothing.
    """

    def __init__(self, slots: Sequence[Mapping[str, str]], trainable: TrainableRef | None = None) -> None:
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.workers: list[WorkerProcess] = []
        self._slots = list(slots)
        self._trainable = trainable
        self._removed: list[WorkerProcess] = []

    @property
    def slots(self) -> int:
        """The largest number of workers."""
        return len(self._slots)

    def replace(self, worker: WorkerProcess) -> WorkerProcess:
        """Starts another process in the place of one, which is killed if it still runs."""
        worker.kill()
        place = self.workers.index(worker)
        self.workers[place] = self._started(place)
        return self.workers[place]

    def remove(self, worker: WorkerProcess) -> None:
        """Kills a process; `fill` starts another one in its place."""
        worker.kill()
        worker.closes_until = None
        self._removed.append(worker)

    def fill(self, count: int | None = None) -> None:
        """Starts processes in the place of those that were removed, and further ones.

        Args:
            count: how many are wanted; None: one for each slot.
        """
        removed, self._removed = self._removed, []
        for worker in removed:
            self.replace(worker)
        wanted = self.slots if count is None else min(count, self.slots)
        for place in range(len(self.workers), wanted):
            self.workers.append(self._started(place))

    def close(self) -> None:
        """Kills all processes; none of them trains any more."""
        for worker in self.workers:
            worker.kill()
        for worker in self.workers:
            worker.join()

    def _started(self, place: int) -> WorkerProcess:
        worker = WorkerProcess(self.events, self._slots[place])
        if self._trainable is not None:
            worker.send(Import(self._trainable))
        return worker
