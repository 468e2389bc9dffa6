"""Metrics of each candidate over its seeds, and the spread of its folds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hpo.core.records import Evaluation
from hpo.stats.ranking import Ranking, Row
from hpo.stats.statistics import sigma


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRow:
    """One metric of one complete candidate, at the epoch that counts for the objective.

    Attributes:
        trial: the candidate's number.
        metric: name of the metric.
        values: value of the metric by seed.
        mean: mean of the values.
        sigma: standard deviation of the values with the rule's ddof; None if the candidate has none.
    """

    trial: int
    metric: str
    values: Mapping[int, float]
    mean: float
    sigma: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldSpread:
    """The folds of one candidate; the value of a seed is the mean over its folds.

    Attributes:
        values: by seed, the values of its folds in order.
        sigma: standard deviation between the folds of a seed: the root of the mean variance (ddof 1). Folds share most
            of their training data, so it shows how much they differ, not how certain their mean is. Source: Bengio and
            Grandvalet, No unbiased estimator of the variance of K-fold cross-validation, 2004.
    """

    values: Mapping[int, tuple[float, ...]]
    sigma: float


def fold_spread(row: Row, replicates: Mapping[tuple[int, int], Evaluation]) -> FoldSpread | None:
    """Returns the spread of a candidate's folds; None without folds.

    Args:
        row: the candidate's row of the ranking.
        replicates: complete replicates by trial and seed.
    """
    trial = row.candidate.trial
    values = {
        seed: tuple(fold.value for fold in replicates[trial, seed].folds if fold.value is not None)
        for seed in row.candidate.values
        if (trial, seed) in replicates and replicates[trial, seed].folds
    }
    if not values:
        return None
    return FoldSpread(values=values, sigma=float(np.sqrt(np.mean([np.var(one, ddof=1) for one in values.values()]))))


def metrics_of(row: Row, ranking: Ranking, replicates: Mapping[tuple[int, int], Evaluation]) -> list[MetricRow]:
    """Returns a row for each metric that has a value under every seed of the ranking; empty if a record is missing.

    Args:
        row: row of a complete candidate.
        ranking: ranking that contains the candidate.
        replicates: complete replicates by trial and seed.
    """
    trial = row.candidate.trial
    found = [replicates.get((trial, seed)) for seed in ranking.seeds]
    known = [one.metrics for one in found if one is not None]
    if len(known) < len(found):
        return []  # a record was deleted since
    rows = []
    for name in known[0]:
        values = [value for metrics in known if (value := metrics.get(name)) is not None]
        if len(values) < len(known):
            continue  # undefined under a seed
        rows.append(
            MetricRow(
                trial=trial,
                metric=name,
                values=dict(zip(ranking.seeds, values, strict=True)),
                mean=float(np.mean(values)),
                sigma=None if row.sigma is None else sigma(values, ranking.rule.ddof),
            )
        )
    return rows
