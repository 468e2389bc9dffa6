"""What trainings have used: wall time, GPU time, money."""

from __future__ import annotations

from dataclasses import dataclass

from hpo.core.formatting import duration
from hpo.core.records import Job

HOUR = 3600.0
"""Seconds of an hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one run of a training has used.

    Attributes:
        job: the training that ran.
        seconds: its wall time in seconds.
        gpus: number of GPUs that it had.
    """

    job: Job
    seconds: float
    gpus: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What the trainings of a study have used.

    Attributes:
        seconds: wall seconds of all trainings, those at the same time each counted.
        gpu_seconds: the same seconds, times the number of GPUs of each training.
        price_per_hour: price of the resources of one training per hour; None: not known.
    """

    seconds: float = 0.0
    gpu_seconds: float = 0.0
    price_per_hour: float | None = None

    @property
    def cost(self) -> float | None:
        """The price of all trainings together; None if no price per hour is known."""
        return None if self.price_per_hour is None else self.seconds / HOUR * self.price_per_hour

    def plain(self) -> dict[str, float | None]:
        """Returns it as plain values for JSON."""
        return {"seconds": self.seconds, "gpu_hours": self.gpu_seconds / HOUR, "cost": self.cost}

    def __str__(self) -> str:
        gpus = f", {amount(self.gpu_seconds / HOUR)} GPU hours" if self.gpu_seconds else ""
        cost = "" if self.cost is None else f", cost {amount(self.cost)}"
        return f"{duration(self.seconds)} of trainings{gpus}{cost}"


def amount(value: float) -> str:
    """Returns hours or money with two decimals, and more if it is less than one: `12.50`, `0.0042`, `0`."""
    return f"{value:.2f}" if value >= 1 else f"{value:.2g}"
