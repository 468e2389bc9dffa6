"""What a trial costs beside its training, at two at a time: wall time, and CPU time of the driver."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.bench.arithmetic import Spread, paired, slope, steady_from
from tests.bench.channel import Channel
from tests.bench.driver import MODES
from tests.bench.head import ray_head
from tests.bench.say import Target, say, table

NAMES = {
    "ours": "hpo on Ray, lag 4, SQLite",
    "plain": "Optuna, 2 threads, SQLite as it comes",
    "plain-wal": "Optuna, 2 threads, SQLite with WAL",
    "tune": "Ray Tune + OptunaSearch as installed",
    "tune-reuse": "the same, actors reused, SQLite as it comes",
    "tune-reuse-wal": "the same, actors reused, SQLite with WAL",
}

COUNTS = {
    1: {"ours": 150, "plain": 50, "plain-wal": 60, "tune": 8, "tune-reuse": 50, "tune-reuse-wal": 60},
    10: {"ours": 120, "plain": 30, "tune-reuse": 40, "tune-reuse-wal": 50},
}
"""Trials of a run, by steps of a trial; enough for both workers to be at work in most of them."""

SKIP = {"tune": 3}
"""Trials that count as start-up; ten where nothing is said. Ray Tune as installed starts a worker for each."""


@dataclass(frozen=True, slots=True)
class Price:
    """One run: seconds per trial once it is under way."""

    wall: float
    cpu: float
    workers: int
    steady: int


def measure(repetitions: int) -> dict[int, dict[str, list[Price]]]:
    """Runs all modes in turn, so often, for trials of one step and of ten."""
    found: dict[int, dict[str, list[Price]]] = {steps: {mode: [] for mode in modes} for steps, modes in COUNTS.items()}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hpo-bench-")))
        address = stack.enter_context(ray_head(2))
        channels = {mode: Channel("driver", mode, address, str(folder), log=folder / f"{mode}.log") for mode in MODES}
        for channel in channels.values():
            stack.callback(channel.close)
        for repetition in range(repetitions):
            for steps, counts in COUNTS.items():
                for mode, count in counts.items():
                    stamps = channels[mode].ask(steps=steps, count=count)
                    found[steps][mode].append(price(stamps, mode))
                    one = found[steps][mode][-1]
                    say(
                        f"{repetition + 1}/{repetitions}  {steps:2d} steps  {NAMES[mode]:45s} "
                        f"{one.wall * 1000:7.1f} ms wall  {one.cpu * 1000:6.1f} ms cpu  {one.workers} workers"
                    )
    return found


def price(stamps: Mapping[str, list[float]], mode: str) -> Price:
    """Returns what a trial cost in one run."""
    fresh_workers = mode == "tune"  # a new one for each trial, so that the last is no end of a start-up
    least = SKIP.get(mode, 10)
    skip = least if fresh_workers else steady_from(stamps["workers"], least)
    return Price(
        wall=slope(stamps["wall"], skip),
        cpu=slope(stamps["cpu"], skip),
        workers=len(set(stamps["workers"][skip:])),
        steady=len(stamps["wall"]) - skip,
    )


def report(found: Mapping[int, Mapping[str, list[Price]]]) -> list[Target]:
    """Prints what was measured and returns how it compares with what was wanted."""
    for steps, modes in found.items():
        table(
            f"A trial of {steps} step{'s' if steps > 1 else ''} that trains nothing, two at a time, once under way",
            ["driver", "ms wall a trial", "ms cpu of the driver", "workers", "trials"],
            [
                [
                    NAMES[mode],
                    Spread.of([price.wall for price in prices]).shown(1000, 1),
                    Spread.of([price.cpu for price in prices]).shown(1000, 1),
                    ", ".join(str(price.workers) for price in prices),
                    str(min(price.steady for price in prices)),
                ]
                for mode, prices in modes.items()
            ],
        )
    return [
        Target(
            f"{steps} step{'s' if steps > 1 else ''}, {clock}: ours / {NAMES[mode]}",
            paired(
                [getattr(price, clock) for price in found[steps]["ours"]],
                [getattr(p, clock) for p in found[steps][mode]],
            ),
            limit,
        )
        for steps, mode, clock, limit in (
            (1, "plain", "wall", 1.0),
            (1, "tune", "wall", 1 / 30),
            (1, "tune-reuse", "wall", 1 / 2),
            (1, "tune-reuse-wal", "wall", 1 / 2),
            (10, "plain", "cpu", 0.35),
            (10, "tune-reuse", "wall", 0.2),
        )
    ]
