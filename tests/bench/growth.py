"""What a trial costs the driver as the study grows, and what it costs to open a study; in this process, without Ray."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna

from hpo.search.proposals import make_sampler, suggest
from tests.bench.arithmetic import Spread, paired
from tests.bench.driver import study_of
from tests.bench.say import Target, say, table
from tests.bench.stored import driven, fill

SIZES = (100, 1_000, 10_000)
KINDS = {"random, 1 step": ("random", 1), "random, 10 steps": ("random", 10), "tpe, 1 step": ("tpe", 1)}
WARM, TRIALS = 4, 16
"""Trials before the clock is read, and while it runs."""


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds of this process (`open_wall`: wall).

    Attributes:
        trial: of one trial, all that this package does for it.
        sampler: of it, what Optuna's sampler takes in a study of that size that is in memory.
        open: of opening the study and bringing back its search.
        open_wall: likewise.
    """

    trial: float
    sampler: float
    open: float
    open_wall: float


def measure(repetitions: int, sizes: tuple[int, ...] = SIZES) -> dict[str, dict[int, list[Cost]]]:
    """Takes all sizes in turn, so often, of each kind of study."""
    found: dict[str, dict[int, list[Cost]]] = {kind: {size: [] for size in sizes} for kind in KINDS}
    with tempfile.TemporaryDirectory(prefix="hpo-bench-") as folder:
        studies = {kind: study_of(steps, 1_000_000, sampler=sampler) for kind, (sampler, steps) in KINDS.items()}
        for study in studies.values():
            for size in sizes:
                place = Path(folder) / f"{study.search.sampler}-{study.search.budget}-{size}"
                place.mkdir()
                fill(study, place, size)
        for repetition in range(repetitions):
            for kind, study in studies.items():
                for size in sizes:
                    place = Path(folder) / f"{study.search.sampler}-{study.search.budget}-{size}"
                    cost = _cost(study, place)
                    found[kind][size].append(cost)
                    say(
                        f"{repetition + 1}/{repetitions}  {kind:16s} {size:6d} trials  {cost.trial * 1000:6.1f} ms cpu "
                        f"a trial, of it sampler {cost.sampler * 1000:5.1f}; open {cost.open:.2f} s cpu"
                    )
    return found


def _cost(study: Any, place: Path) -> Cost:
    wall, cpu = time.perf_counter(), time.process_time()
    with driven(study, place) as driver:
        opened_wall, opened = time.perf_counter() - wall, time.process_time() - cpu
        for _ in range(WARM):
            driver.train()
        cpu = time.process_time()
        for _ in range(TRIALS):
            driver.train()
        trial = (time.process_time() - cpu) / TRIALS
        stored = driver.opened.durable.frozen() if study.search.sampler == "tpe" else []
    return Cost(trial=trial, sampler=_sampler_alone(study, stored), open=opened, open_wall=opened_wall)


def _sampler_alone(study: Any, stored: list[optuna.trial.FrozenTrial]) -> float:
    """Returns what asking and suggesting costs in a plain study in memory; the random sampler's is not worth a look."""
    if not stored:
        return 0.0
    alone = optuna.create_study(direction=study.objective.direction)
    for trial in stored:
        alone.add_trial(trial)
    spent = 0.0
    for number in range(len(stored), len(stored) + TRIALS):
        cpu = time.process_time()
        alone.sampler = make_sampler(study, number)
        trial = alone.ask()
        suggest(trial, study.space)
        spent += time.process_time() - cpu
        alone.tell(trial, 0.0)
    return spent / TRIALS


def report(found: dict[str, dict[int, list[Cost]]]) -> list[Target]:
    """Prints what was measured and returns how it compares with what was wanted."""
    rows = []
    for kind, sizes in found.items():
        for size, costs in sizes.items():
            sampler = Spread.of([cost.sampler for cost in costs])
            rows.append(
                [
                    kind,
                    str(size),
                    Spread.of([cost.trial for cost in costs]).shown(1000, 1),
                    sampler.shown(1000, 1) if sampler.high else "-",
                    Spread.of([cost.open for cost in costs]).shown(1, 2),
                    Spread.of([cost.open_wall for cost in costs]).shown(1, 2),
                ]
            )
    heads = ["study", "trials", "ms cpu a trial", "of it Optuna's sampler", "s cpu to open", "s wall to open"]
    table("The driver as the study grows", heads, rows)
    few, many = min(next(iter(found.values()))), max(next(iter(found.values())))
    return [
        Target(
            f"{kind}: cpu a trial at {many} trials / at {few}",
            paired([cost.trial for cost in sizes[many]], [cost.trial for cost in sizes[few]]),
            1.5,
        )
        for kind, sizes in found.items()
        if kind.startswith("random")
    ]
