"""Repetitions of all methods at equal budgets, and what they come to."""

from __future__ import annotations

import json
import math
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from scipy.stats import wilcoxon

from tests.bench.selection.methods import (
    SEEDS,
    Choice,
    InTurn,
    Roles,
    Trace,
    curtailed,
    grid,
    optuna_trace,
    plan_of,
    race,
    recorded_trace,
    trace_of,
)
from tests.bench.selection.tables import Problem, Table, named

OURS = "tpe+gp, records, race"
"""The recipe; the others are compared with it."""

IN_TURN = "tpe + Optuna's own gp, records, race"

SMAC = "SMAC3, racing on 3 seeds"

CLIPPED = 10.0
"""A loss counts as this much in a mean at most: one collapse can be two hundred."""

HELD_OUT = (
    "HPOBench kc1",
    "HPOBench phoneme",
    "HPOBench segment",
    "HPOBench vehicle",
    "FCNet protein_structure",
    "FCNet slice_localization",
    "own wine",
    "own diabetes",
)
EXPLORED = (
    "HPOBench australian",
    "HPOBench blood_transfusion",
    "HPOBench car",
    "HPOBench credit_g",
    "FCNet naval_propulsion",
    "FCNet parkinsons_telemonitoring",
    "own digits",
    "own bc",
)
STRESS = ("drawn unstable",)
LIVE = ("live friedman", "live sines")
HOLES = ("drawn holes", "drawn few")
QUICK = ("HPOBench car", "FCNet parkinsons_telemonitoring", *STRESS, "live friedman")

Row = dict[str, object]


def allowed(table: Problem) -> int:
    """Returns how many seeds a promotion may see: three where there are few, as many as the others see.

    One of the table's is the search's.
    """
    return len(SEEDS) if table.unseen else min(3, table.seeds - 1)


@cache
def _table(name: str) -> Problem:
    return named(name)


def repetition(name: str, number: int, budget: int) -> list[Row]:
    """Runs every method once on one table, all with the same seeds, and returns what each came to.

    Args:
        name: of the table.
        number: of the repetition; it says the samplers' seeds and which seed of the table plays which part.
        budget: trainings of search and promotion together.
    """
    table = _table(name)
    order = _order(table, number)
    roles, seeds = Roles(order), allowed(table)
    width, each = 10 if budget >= 90 else 5, min(3, seeds)
    ours = {sampler: trace_of(table, sampler, budget, roles, number, total=budget) for sampler in ("tpe", "tpe+gp")}
    column, more = order[0], order[: min(3, table.seeds)]
    single = optuna_trace(table, budget, lambda row: table.value(row, column), number)
    thrice = optuna_trace(table, budget // len(more), lambda row: float(table.values(row, more).mean()), number)
    chosen: dict[str, Choice] = {
        "Optuna TPE, best_trial": Choice(single.best(1)[0], budget),
        "TPE, every configuration on 3 seeds": Choice(thrice.best(1)[0], len(more) * (budget // len(more))),
        "tpe+gp, records, best value": Choice(ours["tpe+gp"].first(budget, recorded=True).best(1)[0], budget),
    }
    left = budget - each * width
    for sampler, recorded in (("tpe", False), ("tpe", True), ("tpe+gp", True)):
        said = f"{sampler}{', records' if recorded else ''}"
        fields = ours[sampler].first(left, recorded=recorded).best(width)
        chosen[f"{said}, grid"] = _spent(grid(table, roles, fields, each), left)
        if sampler == "tpe+gp":
            chosen[f"{said}, curtailed"] = _spent(curtailed(table, roles, fields, each), left)
        chosen[f"{said}, race"] = _raced(table, roles, ours[sampler], budget, recorded=recorded)
    return [_row(table, name, number, budget, method, choice) for method, choice in chosen.items()]


def searched(name: str, number: int, budget: int, sampler: str, lag: int) -> list[Row]:
    """Runs the recipe with any sampler of a study file and any lag, as `repetition` does.

    Args:
        name: of the problem.
        number: of the repetition.
        budget: trainings of search and promotion together.
        sampler: its name, or `module:Class`.
        lag: trial n is proposed with the results of trials up to n - lag.
    """
    table = _table(name)
    roles = Roles(_order(table, number))
    trace = trace_of(table, sampler, budget, roles, number, lag, total=budget)
    choice = _raced(table, roles, trace, budget, recorded=True)
    return [_row(table, name, number, budget, recipe(sampler, lag), choice)]


def _raced(table: Problem, roles: Roles, trace: Trace, budget: int, *, recorded: bool) -> Choice:
    """Runs the race after as much of a search as its plan leaves, as `hpo run --trainings` does."""
    plan = plan_of(budget, allowed(table), trace.share)
    search = budget - plan.cost
    return _spent(race(table, roles, trace.first(search, recorded=recorded).best(plan.widths[0]), plan), search)


def recipe(sampler: str, lag: int) -> str:
    """Returns the name of the method that `searched` runs."""
    return f"{sampler}, records, race, lag {lag}"


def in_turn(name: str, number: int, budget: int) -> list[Row]:
    """Runs the recipe with Optuna's own process in place of ours, as `repetition` does."""
    table = _table(name)
    roles, seeds = Roles(_order(table, number)), allowed(table)
    plan, column = plan_of(budget, seeds), _order(table, number)[0]
    share = budget - plan.cost
    trace = recorded_trace(table, share, lambda row: table.value(row, column), InTurn(number))
    choice = _spent(race(table, roles, trace.best(plan.widths[0]), plan), share)
    return [_row(table, name, number, budget, IN_TURN, choice)]


def smac(name: str, number: int, budget: int, python: str) -> list[Row]:
    """Runs SMAC3 once on one table, as `repetition` does; python is that of the environment where it is installed."""
    table = _table(name)
    if not isinstance(table, Table):  # SMAC3 runs on tables alone
        return []
    order = _order(table, number)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "table.npz"
        space = json.dumps({param: list(values) for param, values in table.space.items()})
        np.savez(file, scores=table.scores, order=np.array(order[: 1 + allowed(table)]), space=space)
        script = Path(__file__).with_name("smac_once.py")
        command = [python, str(script), str(file), str(budget), str(number)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return [_row(table, name, number, budget, SMAC, Choice(found["row"], budget))]


def _order(table: Problem, number: int) -> list[int]:
    """Returns which seed of the table plays which part in a repetition."""
    return [int(seed) for seed in np.random.default_rng([number, 7]).permutation(table.seeds)]


def _row(table: Problem, name: str, number: int, budget: int, method: str, choice: Choice) -> Row:
    order, seen = _order(table, number), 1 + allowed(table)
    rest = order[seen:]
    return {
        "table": name,
        "repetition": number,
        "budget": budget,
        "method": method,
        "loss": table.loss(choice.row, seen, order),
        "trainings": choice.trainings,
        "sigma": _finite(table.values(choice.row, order).std(ddof=1) / table.unit),
        "unseen": _finite(table.values(choice.row, rest).mean() / table.unit) if rest else None,
    }


def _finite(value: float) -> float | None:
    """Returns a number; None where a training failed under one of the seeds."""
    return None if math.isnan(value) else float(value)


def _spent(choice: Choice, search: int) -> Choice:
    return Choice(choice.row, choice.trainings + search)


def summary(rows: Iterable[Mapping[str, object]], against: str = OURS) -> list[list[str]]:
    """Returns a row for each method: n, loss, wins, ties and losses of `against`, Wilcoxon's p, trainings."""
    by: dict[str, dict[tuple[object, object], float]] = {}
    trainings: dict[str, list[float]] = {}
    for row in rows:
        method = str(row["method"])
        by.setdefault(method, {})[row["table"], row["repetition"]] = float(row["loss"])  # type: ignore[arg-type]
        trainings.setdefault(method, []).append(float(row["trainings"]))  # type: ignore[arg-type]
    made = []
    for method, found in by.items():
        values = np.array(list(found.values()))
        common = [key for key in found if key in by[against]]
        gains = np.array([found[key] - by[against][key] for key in common])
        error = np.minimum(values, CLIPPED).std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
        compared = ["", ""]
        if method != against:
            wins, losses = int((gains > 1e-9).sum()), int((gains < -1e-9).sum())
            p = wilcoxon(gains, zero_method="zsplit").pvalue if np.any(gains) else 1.0
            compared = [f"{wins}/{len(gains) - wins - losses}/{losses}", f"{p:.1g}"]
        made.append(
            [
                method,
                str(len(values)),
                f"{np.minimum(values, CLIPPED).mean():.2f} ({error:.2f})",
                f"{np.median(values):.2f}",
                f"{values.max():.1f}",
                f"{np.mean(trainings[method]):.0f}",
                *compared,
            ]
        )
    return made


HEADS = ["method", "n", "mean (se)", "median", "worst", "trainings", f"{OURS}: better/equal/worse", "p"]


def by_table(rows: Sequence[Mapping[str, object]]) -> list[list[str]]:
    """Returns a row for each method, with its mean loss on every table."""
    tables = list(dict.fromkeys(str(row["table"]) for row in rows))
    methods = list(dict.fromkeys(str(row["method"]) for row in rows))
    made = []
    for method in methods:
        cells = [
            [float(row["loss"]) for row in rows if row["method"] == method and row["table"] == table]  # type: ignore[arg-type]
            for table in tables
        ]
        made.append([method, *(f"{np.minimum(cell, CLIPPED).mean():.2f}" if cell else "-" for cell in cells)])
    return [["method", *(Path(table.partition(" ")[2]).stem for table in tables)], *made]
