"""`python -m tests.bench.selection`: searches tables of trainings with all methods and says what each one lost."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path

import optuna
from threadpoolctl import threadpool_limits

from tests.bench.say import say, table
from tests.bench.selection.compare import (
    EXPLORED,
    HEADS,
    HELD_OUT,
    HOLES,
    IN_TURN,
    LIVE,
    OURS,
    QUICK,
    SMAC,
    STRESS,
    Row,
    by_table,
    in_turn,
    recipe,
    repetition,
    searched,
    smac,
    summary,
)
from tests.bench.selection.promotion_only import promotion_only
from tests.bench.selection.tables import named

SETS = {"held-out": HELD_OUT, "explored": EXPLORED, "stress": STRESS, "live": LIVE, "holes": HOLES, "quick": QUICK}

QUICK_SECONDS = 500
"""Time after which --quick begins nothing more; what runs then takes up to a minute on a slow core."""


def main() -> None:
    """Runs the repetitions that are not in the file yet, and prints what all of them come to."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.selection", description=__doc__)
    parser.add_argument(
        "sets",
        nargs="*",
        metavar="SET",
        help=f"[held-out stress] of {', '.join(SETS)}, promotion-only; or a table, FILE.npz with scores and space",
    )
    parser.add_argument("--repetitions", type=int, default=30, help="on every table [30]")
    parser.add_argument("--budget", type=int, default=120, help="trainings of search and promotion [120]")
    parser.add_argument("--file", type=Path, default=Path(".bench-tables/selection.jsonl"), help="where they are kept")
    parser.add_argument("--in-turn", type=int, default=0, metavar="N", help="also N repetitions with Optuna's own gp")
    parser.add_argument("--smac", metavar="PYTHON", help="python of an environment with smac==2.4.1; it takes minutes")
    parser.add_argument("--smac-repetitions", type=int, default=3, help="on every table [3]")
    parser.add_argument("--sampler", action="append", default=[], help="also our recipe with this one; repeatable")
    parser.add_argument("--lag", type=int, action="append", default=[], help="of those searches [1]; repeatable")
    parser.add_argument("--quick", action="store_true", help="the set quick, four problems, for at most ten minutes")
    given = parser.parse_args()
    until = math.inf
    if given.quick:
        given.sets, given.repetitions, until = ["quick"], 20, time.monotonic() + QUICK_SECONDS
    sets = given.sets or ["held-out", "stress", "promotion-only"]
    problems = SETS | {one: (f"file {one}",) for one in sets if one.endswith(".npz")}
    if unknown := set(sets) - {*problems, "promotion-only"}:
        parser.error(f"no set {', '.join(sorted(unknown))}; known: {', '.join(SETS)}, promotion-only, FILE.npz")
    for name in (name for chosen in sets if chosen in problems for name in problems[chosen]):
        try:
            named(name)  # generated now if it has to be, and once
        except ValueError as error:
            parser.error(str(error))
    known = _known(given.file)
    run = partial(_run, known=known, file=given.file, until=until)
    for chosen in sets:
        if chosen == "promotion-only":
            heads, rows = promotion_only(named("own digits"))
            table("Promotion alone: the ten best of a search on digits, 1000 orders of the seeds", heads, rows)
            continue
        wanted = [(name, number, given.budget) for number in range(given.repetitions) for name in problems[chosen]]
        run(repetition, [one for one in wanted if not _has(known, one, OURS)])
        few = [one for one in wanted if one[1] < given.in_turn and not _has(known, one, IN_TURN)]
        run(in_turn, few)
        for sampler in given.sampler or (["tpe+gp"] if given.lag else []):
            for lag in given.lag or [1]:
                work = partial(searched, sampler=sampler, lag=lag)
                run(work, [one for one in wanted if not _has(known, one, recipe(sampler, lag))])
        if given.smac:
            few = [one for one in wanted if one[1] < given.smac_repetitions and not _has(known, one, SMAC)]
            run(partial(smac, python=given.smac), few)
        rows = [row for one in wanted for row in known.get(one, [])]
        table(f"{chosen}, {given.budget} trainings: loss in seed standard deviations", HEADS, summary(rows))
        heads, *cells = by_table(rows)
        table(f"{chosen}, {given.budget} trainings: mean loss by table", heads, cells)


Known = dict[tuple[str, int, int], list[Row]]


def _known(file: Path) -> Known:
    found: Known = {}
    if file.exists():
        for line in file.read_text().splitlines():
            row = json.loads(line)
            found.setdefault((row["table"], row["repetition"], row["budget"]), []).append(row)
    return found


def _has(known: Known, one: tuple[str, int, int], method: str) -> bool:
    return any(row["method"] == method for row in known.get(one, []))


def _run(
    work: Callable[..., list[Row]], wanted: list[tuple[str, int, int]], known: Known, file: Path, until: float
) -> None:
    """Does the work that is wanted, in as many processes as there are cores, and adds it to what is known.

    Args:
        work: makes the rows of one repetition.
        wanted: problem, number and budget of each repetition.
        known: the rows by repetition, to which the new ones are added.
        file: where they are kept.
        until: time after which no repetition begins, as `time.monotonic` counts.
    """
    began = time.monotonic()
    file.parent.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(os.cpu_count(), initializer=_quiet) as pool, file.open("a") as out:
        tasks = {pool.submit(work, *one): one for one in wanted}
        for done, task in enumerate(as_completed(tasks), start=1):
            if task.cancelled():
                continue
            known.setdefault(tasks[task], []).extend(task.result())
            out.write("".join(json.dumps(row) + "\n" for row in task.result()))
            out.flush()
            if time.monotonic() > until:
                for waiting in tasks:
                    waiting.cancel()
            if sys.stderr.isatty() or done % 20 == 0:
                left = (time.monotonic() - began) / done * (len(wanted) - done)
                say(f"{done} of {len(wanted)} repetitions, about {left / 60:.0f} min left")


def _quiet() -> None:
    threadpool_limits(limits=1)  # each process has one core
    optuna.logging.set_verbosity(optuna.logging.ERROR)


if __name__ == "__main__":
    main()
