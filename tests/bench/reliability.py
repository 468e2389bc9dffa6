"""Whether a lower sigma over a few seeds means a lower sigma over others, among configurations of equal means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hpo.stats.reliability import sigma_reliability
from tests.bench.say import Target, say, table
from tests.bench.selection.tables import Table, named

TABLES = ["own bc", "own digits", "own wine", "own diabetes", "drawn unstable"]
COUNTS = [3, 4, 8, 12]

Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Found:
    """What one table says of one number of seeds.

    Attributes:
        name: of the table.
        count: seeds that are seen.
        slope: share of a difference in log sigma that recurs under the other seeds, at equal means; mean and standard
            deviation over repetitions.
        correlation: rank correlation of the two, at equal means; likewise.
        agreement: share of pairs of nearly equal means in which the same one has the lower sigma; likewise.
    """

    name: str
    count: int
    slope: tuple[float, float]
    correlation: tuple[float, float]
    agreement: tuple[float, float]


def measure(repetitions: int) -> list[Found]:
    """Draws the seeds that are seen so often for each table."""
    found = []
    for name in TABLES:
        rows = named(name)
        found += [_found(rows, count, repetitions) for count in COUNTS]
        say(f"{name}: {repetitions} draws of the seeds")
    return found


def _found(rows: Table, count: int, repetitions: int) -> Found:
    """Compares the better tenth of the configurations over `count` seeds and over all others."""
    from scipy.stats import spearmanr

    best = np.argsort(-rows.scores.mean(axis=1), kind="stable")[: max(20, len(rows.scores) // 10)]
    scores_CS = rows.scores[best]
    mean_C, unit = scores_CS.mean(axis=1), float(np.median(scores_CS.std(axis=1, ddof=1)))
    draw = np.random.default_rng(0)
    first, second = draw.integers(0, len(best), (2, 5_000))
    near = (np.abs(mean_C[first] - mean_C[second]) < unit / 4) & (first != second)
    first, second = first[near], second[near]
    values = []
    for _ in range(repetitions):
        order = draw.permutation(scores_CS.shape[1])
        seen_C = np.log(scores_CS[:, order[:count]].std(axis=1, ddof=1) + 1e-12)
        fresh_C = np.log(scores_CS[:, order[count:]].std(axis=1, ddof=1) + 1e-12)
        one_C, other_C = _without(mean_C, seen_C), _without(mean_C, fresh_C)
        agrees = (seen_C[first] < seen_C[second]) == (fresh_C[first] < fresh_C[second])
        values.append((np.polyfit(one_C, other_C, 1)[0], spearmanr(one_C, other_C).statistic, agrees.mean()))
    mean, deviation = np.mean(values, axis=0), np.std(values, axis=0)
    slope, correlation, agreement = [(float(mean[at]), float(deviation[at])) for at in range(3)]
    return Found(rows.name, count, slope, correlation, agreement)


def _without(mean_C: Array, log_sigma_C: Array) -> Array:
    """Returns the part of log sigma that a parabola in the mean does not explain."""
    return log_sigma_C - np.polyval(np.polyfit(mean_C, log_sigma_C, 2), mean_C)


def report(found: list[Found]) -> list[Target]:
    """Prints what was measured, and what the product assumes."""
    rows = []
    for one in found:
        shown = [f"{mean:.2f} ± {sd:.2f}" for mean, sd in (one.slope, one.correlation, one.agreement)]
        rows.append([one.name, str(one.count), *shown])
    rows += [["assumed", str(count), f"{sigma_reliability(count):.2f}", "", ""] for count in COUNTS]
    table("Reliability of sigma, at equal means", ["table", "seeds", "recurs", "rank correlation", "pairs agree"], rows)
    return []
