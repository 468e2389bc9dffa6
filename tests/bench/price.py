"""What a trial costs beside its training, at two at a time: wall time, and CPU time of the driver."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.bench.arithmetic import slope, steady_from
from tests.bench.channel import Channel
from tests.bench.driver import MODES
from tests.bench.head import ray_head
from tests.bench.say import say

NAMES = {
    "ours": "hpo on Ray, lag 4, SQLite",
    "plain": "Optuna, 2 threads, SQLite as it comes",
    "plain-wal": "Optuna, 2 threads, SQLite with WAL",
    "tune": "Ray Tune + OptunaSearch as installed",
    "tune-reuse": "the same, actors reused, SQLite as it comes",
    "tune-reuse-wal": "the same, actors reused, SQLite with WAL",
}

COUNTS = {
    1: {"ours": 300, "plain": 60, "plain-wal": 60, "tune": 12, "tune-reuse": 60, "tune-reuse-wal": 60},
    10: {"ours": 150, "plain": 30, "plain-wal": 30, "tune": 12, "tune-reuse": 40, "tune-reuse-wal": 40},
}
"""Trials of a run, by steps of a trial; enough for both workers to be at work in most of them."""

SKIP = {"tune": 4}
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
    found: dict[int, dict[str, list[Price]]] = {steps: {mode: [] for mode in MODES} for steps in COUNTS}
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
