"""The main function of a worker process: it obeys the driver's orders until the driver is gone."""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection

from hpo.backends.processes.orders import Call, Dropped, Import, Order, Started
from hpo.backends.worker import Task, TrainingWorker
from hpo.study.functions import is_of_session
from hpo.study.trainable import load


def main(channel: int) -> None:
    """Serves the driver.

    What user code prints is captured and sent. Stdout and stderr of the process itself, to which compiled libraries
    write, go to a file that the driver reads when the process dies.

    Args:
        channel: file descriptor of the socket to the driver.
    """
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  open as long as the process lives
    sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  likewise
    try:
        with Connection(channel) as driver:
            worker = TrainingWorker()
            driver.send(Started())
            while True:
                _obey(driver.recv(), worker, driver)
    except (EOFError, ConnectionError):  # the driver is gone
        os._exit(0)
    except BaseException:  # no training's own, which end in an update
        traceback.print_exc(file=sys.__stderr__)
        os._exit(1)  # without waiting for threads that a training has left


def _obey(order: Order, worker: TrainingWorker, driver: Connection) -> None:
    match order:
        case Task():
            with suppress(OSError):  # what earlier trainings have left there explains no death of this one
                os.ftruncate(2, 0)
            worker.take(order)
            driver.send(worker.step())
        case Call.STEP:
            driver.send(worker.step())
        case Call.DROP:
            driver.send(Dropped(worker.drop()))
        case Import(trainable):
            if is_of_session(trainable.path):
                sys.path.insert(0, trainable.root)  # where what it imports is
            else:
                with suppress(Exception), worker.listening():  # the training reports the error, if it still is one
                    load(trainable)
            driver.send(Started())
