"""Which share of its workers' time a free-running search spends in trainings of 2 to 4 seconds."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.bench.arithmetic import Spread, busy_share
from tests.bench.channel import Channel
from tests.bench.head import ray_head
from tests.bench.say import Target, say, table

TRIALS = 14


@dataclass(frozen=True, slots=True)
class Use:
    """One search.

    Attributes:
        share: of the workers' time spent in trainings, from when all of them trained to when the last job began.
        workers: processes that trained.
    """

    share: float
    workers: int


def measure(repetitions: int) -> list[Use]:
    """Searches so often, two trainings at a time."""
    found = []
    with tempfile.TemporaryDirectory(prefix="hpo-bench-") as folder, ray_head(2) as address:
        channel = Channel("napping", address, folder, log=Path(folder) / "log")
        for repetition in range(repetitions):
            naps = [tuple(nap) for nap in channel.ask(count=TRIALS)["naps"]]
            found.append(use(naps))
            say(f"{repetition + 1}/{repetitions}  {found[-1].share:.3f} of {found[-1].workers} workers' time")
        channel.close()
    return found


def use(naps: list[tuple[float, float, float]]) -> Use:
    """Returns what became of trainings, each with its begin, its end and its worker."""
    workers = {worker for _begin, _end, worker in naps}
    all_at_work = max(min(begin for begin, _end, worker in naps if worker == one) for one in workers)
    last_job = max(begin for begin, _end, _worker in naps)
    times = [(begin, end) for begin, end, _worker in naps]
    return Use(busy_share(times, len(workers), all_at_work, last_job), len(workers))


def report(found: list[Use]) -> list[Target]:
    """Prints what was measured and returns how it compares with what was wanted."""
    workers = json.dumps(sorted({one.workers for one in found}))
    share = Spread.of([one.share for one in found])
    table("Slots, free-running, trials of 2 to 4 s", ["workers", "share in trainings"], [[workers, share.shown(1, 3)]])
    return [Target("share of the slots' time in trainings", share, 0.95, most=False)]
