"""The table [resources] of a study file: what one training gets, and its limits."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hpo.core.limits import memory_of, time_of
from hpo.study.table import Finite, Table, parsed_by


class ResourcesTable(Table):
    """The resources of one training, its maximum attempts and the price of an hour of it; see `hpo.Resources`.

    Attributes:
        cpu: number of cores and threads of one training; the number of threads affects results on a CPU.
        gpu: number of GPUs of one training; a fraction shares one.
        max_attempts: how often a training is started or resumed if its process dies, before it counts as failed.
        slots: usual number of concurrent trainings. The lag follows from it, so results do not depend on the machine.
        time: how long a training may run in one process until it fails; None: no limit.
        memory: memory that a training may add to its process and the child processes until it fails; None: no limit.
        price_per_hour: price of one hour of one training, in any currency, for `--cost`; None: costs are not counted.
    """

    cpu: Annotated[int, Field(ge=1, le=10_000)] = 1
    gpu: Annotated[Finite, Field(ge=0)] = 0.0
    max_attempts: Annotated[int, Field(ge=1, le=1000)] = 3
    slots: Annotated[int, Field(ge=1, le=5000)] = 2
    time: Annotated[str, parsed_by(time_of)] | None = None
    memory: Annotated[str, parsed_by(memory_of)] | None = None
    price_per_hour: Annotated[Finite, Field(gt=0)] | None = None
