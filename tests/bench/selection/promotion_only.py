"""What promotions alone are worth: the same ten candidates, the seeds in a thousand orders."""

from __future__ import annotations

import numpy as np

from hpo.promotion.race import Plan
from tests.bench.selection.methods import SEEDS, Choice, Roles, curtailed, grid, race, trace_of
from tests.bench.selection.tables import Table

ORDERS = 1000
PLANS = {
    "race 1,2,4 of 10,5,3": Plan((1, 2, 4), (10, 5, 3)),
    "race 1,2,4,8,12 of 10,5,3,2,2": Plan((1, 2, 4, 8, 12), (10, 5, 3, 2, 2)),
}


def promotion_only(table: Table) -> tuple[list[str], list[list[str]]]:
    """Returns heads and rows: how often each promotion finds the best of ten, its regret, its trainings."""
    seeds = list(range(table.scores.shape[1]))
    candidates = trace_of(table, "tpe", 90, Roles(seeds), 0).best(10)
    worth = table.scores[candidates].mean(axis=1) - table.scores[candidates].std(axis=1)
    found: dict[str, list[Choice]] = {}
    for number in range(ORDERS):
        order = np.random.default_rng([number, 3]).permutation(seeds)
        roles = Roles([int(seed) for seed in order])
        found.setdefault("grid, 3 seeds", []).append(grid(table, roles, candidates))
        found.setdefault("curtailed, 3 seeds", []).append(curtailed(table, roles, candidates))
        found.setdefault(f"grid, {len(SEEDS)} seeds", []).append(grid(table, roles, candidates, len(SEEDS)))
        for name, plan in PLANS.items():
            found.setdefault(name, []).append(race(table, roles, candidates, plan))
    rows = []
    for name, choices in found.items():
        chosen = worth[[candidates.index(choice.row) for choice in choices]]
        regret = (worth.max() - chosen) / table.unit
        rows.append(
            [
                name,
                f"{100 * np.mean(regret == 0):.0f} %",
                f"{regret.mean():.2f} ({regret.std() / np.sqrt(ORDERS):.2f})",
                f"{np.mean([choice.trainings for choice in choices]):.1f}",
            ]
        )
    return ["promotion", "finds the best", "mean regret (se)", "trainings"], rows
