"""Improvement per cost against plain improvement, at the same total cost, on the problems that are trained on demand.

A training costs the number of weights of its network. `python -m tests.bench.selection.costs`; about ten minutes.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import optuna
from scipy.stats import wilcoxon
from threadpoolctl import threadpool_limits

import hpo
from tests.bench.say import table
from tests.bench.selection.compare import LIVE
from tests.bench.selection.methods import study_of
from tests.bench.selection.tables import named

INPUTS = {"live friedman": 10, "live sines": 5}
"""Number of features of each problem."""

TRAININGS = 40
"""The total cost is that of so many random configurations."""

SEEN = 1
"""Seeds that the search sees."""


def weights(params: Mapping[str, Any], inputs: int) -> float:
    """Returns the number of weights of a network."""
    width = params["width"]
    return float(inputs * width + (params["depth"] - 1) * width**2 + width)


def best_within(name: str, number: int, cost: str | None) -> tuple[float, int]:
    """Searches until the total cost is reached; returns the loss of the best value's configuration, and the trainings.

    Args:
        name: of the problem.
        number: of the repetition, which says the seeds.
        cost: metric of the cost that the search knows; None: it knows none.
    """
    problem, draw = named(name), np.random.default_rng([number, 9])
    order = list(draw.permutation(problem.seeds))
    study = study_of(problem, "tpe+gp", number)
    content = study.content()
    content["search"] |= {"trials": 1000} | ({} if cost is None else {"cost": cost})
    own = hpo.Search(hpo.Study.model_validate(content).located(study.root))
    left, tried = TRAININGS * _typical(name), []
    while left > 0 and (trial := own.ask()) is not None:
        row, price = problem.index(trial.params), weights(trial.params, INPUTS[name])
        value = problem.value(row, order[0])
        own.tell(trial, value, metrics={"weights": price})
        tried.append((value, row))
        left -= price
    best = max(tried, key=lambda one: one[0])[1]
    return problem.loss(best, SEEN, order), len(tried)


def _typical(name: str) -> float:
    """Returns the mean cost of random configurations."""
    draw = np.random.default_rng(3)
    width, depth = np.exp(draw.uniform(np.log(4), np.log(48), 2000)), draw.integers(1, 4, 2000)
    return float(np.mean([weights({"width": w, "depth": d}, INPUTS[name]) for w, d in zip(width, depth, strict=True)]))


def _pair(name: str, number: int) -> tuple[tuple[float, int], tuple[float, int]]:
    return best_within(name, number, None), best_within(name, number, "weights")


def main() -> None:
    """Runs all pairs and prints what they come to."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.selection.costs", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=20, help="on each problem [20]")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="at a time [one for each core]")
    given = parser.parse_args()
    wanted = [(name, number) for number in range(given.repetitions) for name in LIVE]
    with ProcessPoolExecutor(given.processes, initializer=_quiet) as pool:
        found = list(pool.map(_pair, *zip(*wanted, strict=True)))
    rows = []
    for name in (*LIVE, "both"):
        pairs = [pair for (of, _), pair in zip(wanted, found, strict=True) if name in (of, "both")]
        plain, priced = (np.array([one[place][0] for one in pairs]) for place in (0, 1))
        counts = [float(np.mean([one[place][1] for one in pairs])) for place in (0, 1)]
        apart = plain - priced
        error = apart.std(ddof=1) / np.sqrt(len(apart))
        rows.append(
            [
                name,
                str(len(pairs)),
                f"{plain.mean():.2f}",
                f"{priced.mean():.2f}",
                f"{apart.mean():.2f} ({error:.2f})",
                f"{np.median(apart):.2f}",
                f"{wilcoxon(plain, priced).pvalue:.2g}",
                f"{counts[0]:.0f} / {counts[1]:.0f}",
            ]
        )
    heads = ["problem", "pairs", "plain", "per cost", "gain (standard error)", "median gain", "p", "trainings"]
    table(f"Loss at the cost of {TRAININGS} random trainings, in seed standard deviations", heads, rows)


def _quiet() -> None:
    threadpool_limits(limits=1)  # each process has one core
    optuna.logging.set_verbosity(optuna.logging.ERROR)


if __name__ == "__main__":
    main()
