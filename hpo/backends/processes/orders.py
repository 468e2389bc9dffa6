"""What the driver and its worker processes send each other."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from hpo.backends.worker import Task, WorkerMessage
from hpo.core.protocols import TrainableRef


class Call(Enum):
    """An order without arguments."""

    STEP = "train for a while, and say what is new"
    DROP = "close the training"


@dataclass(frozen=True, slots=True)
class Import:
    """The order to import a trainable before there is a task, which takes seconds with a large library.

    Attributes:
        trainable: says what to import.
    """

    trainable: TrainableRef


@dataclass(frozen=True, slots=True)
class Started:
    """The answer of a process that has started, or has imported what it was to import."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """The answer of a worker whose training is closed.

    Attributes:
        is_usable: whether its process can train another one.
    """

    is_usable: bool


Order = Task | Import | Call
Answer = Started | WorkerMessage | Dropped
