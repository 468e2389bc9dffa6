"""Several objectives at once: domination, fronts, hypervolume, and how both vary over seeds.

Everything here is in losses: lower is better in every column. Shapes: N points, K objectives, S seeds.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hpo.stats.scoring import Rule

Losses = NDArray[np.float64]

RESAMPLES = 1000
"""Number of times that the seeds are drawn with replacement."""

RESAMPLING_SEED = 0
"""Seed of those draws: equal values give equal shares everywhere."""

MARGIN = 0.1
"""How far the reference point of the hypervolume lies beyond the worst value, as a share of the objective's range."""


def losses_of(vectors: ArrayLike, directions: Sequence[str]) -> Losses:
    """Returns values as losses: those of maximized objectives change their sign.

    Args:
        vectors: (..., K) values of the objectives.
        directions: (K,) `maximize` or `minimize`.
    """
    signs_K = np.array([-1.0 if one == "maximize" else 1.0 for one in directions])
    shape = (*np.shape(vectors)[:-1], len(signs_K))
    losses: Losses = np.asarray(vectors, float).reshape(shape) * signs_K
    return losses


def fronts_of(losses_NK: ArrayLike) -> list[int]:
    """Returns the front of each point: 1 if no point dominates it, 2 if only points of front 1 do, and so on.

    A point dominates another one if it is nowhere worse and somewhere better; equal points are on the same front.
    Source: Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II", 2002, section III.A.
    """
    points_NK = np.atleast_2d(np.asarray(losses_NK, float))
    if not points_NK.size:
        return []
    no_worse_NN = np.asarray((points_NK[:, None, :] <= points_NK[None, :, :]).all(axis=2))
    dominates_NN = no_worse_NN & ~no_worse_NN.T
    found_N, left_N, front = np.zeros(len(points_NK), int), np.ones(len(points_NK), bool), 0
    while left_N.any():
        front += 1
        on_front_N = left_N & ~dominates_NN[left_N].any(axis=0)
        found_N[on_front_N] = front
        left_N &= ~on_front_N
    return [int(one) for one in found_N]


def crowding(losses_NK: ArrayLike) -> list[float]:
    """Returns how far the neighbors of each point on a front are; infinite at the ends of an objective.

    Source: Deb et al., 2002, section III.B: the sum over objectives of the distance between both neighbors, divided by
    the range of that objective.
    """
    points_NK = np.atleast_2d(np.asarray(losses_NK, float))
    found_N = np.zeros(len(points_NK))
    for column_N in points_NK.T if points_NK.size else ():
        order_N = np.argsort(column_N, kind="stable")
        extent = column_N[order_N[-1]] - column_N[order_N[0]]
        found_N[order_N[[0, -1]]] = math.inf
        if extent > 0:
            found_N[order_N[1:-1]] += (column_N[order_N[2:]] - column_N[order_N[:-2]]) / extent
    return [float(one) for one in found_N]


def spread_first(losses_NK: ArrayLike) -> list[int]:
    """Returns the indices of points by their front, and within a front those with distant neighbors first."""
    points_NK = np.asarray(losses_NK, float)
    fronts, order = fronts_of(points_NK), []
    for front in sorted(set(fronts)):
        here = [index for index, one in enumerate(fronts) if one == front]
        apart = crowding(points_NK[here])
        order += [here[place] for place in sorted(range(len(here)), key=lambda place: (-apart[place], place))]
    return order


def hypervolume(losses_NK: ArrayLike, reference_K: ArrayLike) -> float:
    """Returns the volume that the points dominate, up to the reference point; points beyond it add nothing.

    Slices along the first objective, each of which is a hypervolume of one objective less. Source: While et al.,
    "A faster algorithm for calculating hypervolume", 2006, section III (HSO). Exact, for a few dozen points.

    Args:
        losses_NK: (N, K) points.
        reference_K: (K,) point that bounds the volume.
    """
    reference = np.asarray(reference_K, float)
    points_NK = np.asarray(losses_NK, float).reshape(-1, len(reference))
    points_NK = points_NK[(points_NK < reference).all(axis=1)]
    if not len(points_NK):
        return 0.0
    if len(reference) == 1:
        return float(reference[0] - points_NK.min())
    points_NK = points_NK[np.argsort(points_NK[:, 0], kind="stable")]
    edges = [*points_NK[:, 0], reference[0]]
    widths = [(index + 1, high - low) for index, (low, high) in enumerate(pairwise(edges))]
    return float(sum(width * hypervolume(points_NK[:count, 1:], reference[1:]) for count, width in widths if width > 0))


def shares_of_range(losses_NK: ArrayLike, front_MK: ArrayLike) -> Losses:
    """Returns points on a scale on which the best value on a front is 0 and the worst is 1, in each objective.

    An objective in which the whole front is equal is 0 there and counts nowhere.

    Args:
        losses_NK: (N, K) points to scale.
        front_MK: (M, K) points of the front.
    """
    points_NK, front = np.asarray(losses_NK, float), np.asarray(front_MK, float)
    low_K, extent_K = front.min(axis=0), np.ptp(front, axis=0)
    return np.where(extent_K > 0, (points_NK - low_K) / np.where(extent_K > 0, extent_K, 1.0), 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontsOverSeeds:
    """The fronts of candidates that were evaluated under several seeds.

    Attributes:
        scores_NK: (N, K) score of each candidate in each objective by the rule, mean - lambda * sigma or as chosen; as
            values, not losses.
        fronts: front of each candidate by its scores, 1 for those that no other one dominates.
        on_front: share of the resamples in which each candidate is on the first front.
        chosen: share of the resamples in which each candidate is chosen.
        hypervolume: volume that the first front dominates, as a share of the box between `ideal` and `reference`.
        interval: percentile interval of the hypervolume over the resamples, 95 %.
        ideal: (K,) best value of each objective over all candidates and seeds, and all scores.
        reference: (K,) the worst such value, moved on by `MARGIN` of the range: the reference point.
        resamples: number of resamples of the seeds.
        resampling_seed: seed of the resampling.
    """

    scores_NK: tuple[tuple[float, ...], ...]
    fronts: tuple[int, ...]
    on_front: tuple[float, ...]
    chosen: tuple[float, ...]
    hypervolume: float
    interval: tuple[float, float]
    ideal: tuple[float, ...]
    reference: tuple[float, ...]
    resamples: int
    resampling_seed: int


def scores_of(values_NSK: ArrayLike, rule: Rule, directions: Sequence[str]) -> Losses:
    """Returns (N, K) scores: the rule's score over the seeds, in each objective by itself.

    Args:
        values_NSK: (N, S, K) values under each seed.
        rule: turns the values of several seeds into a score.
        directions: (K,) `maximize` or `minimize`.
    """
    values = np.asarray(values_NSK, float)
    return np.array(
        [[rule.score(one_SK[:, place], way) for place, way in enumerate(directions)] for one_SK in values]
    ).reshape(len(values), len(directions))


def fronts_over_seeds(
    values_NSK: ArrayLike,
    rule: Rule,
    directions: Sequence[str],
    choose: Callable[[Losses], int | None],
    resamples: int = RESAMPLES,
) -> FrontsOverSeeds:
    """Returns the fronts of candidates over seeds, and how certain they are by a bootstrap over the seeds.

    A resample draws S seeds with replacement, the same for all candidates, and scores all of them again. With S = 3
    there are only 10 different resamples; intervals of so few seeds are too narrow.

    Args:
        values_NSK: (N, S, K) values of N candidates under S seeds in K objectives; at least one candidate.
        rule: turns the values of several seeds into a score, in each objective by itself.
        directions: (K,) `maximize` or `minimize`.
        choose: returns the index of the preferred candidate, given the (N, K) losses of the scores; None: none is.
        resamples: number of times that the seeds are drawn.
    """
    values = np.asarray(values_NSK, float)
    count, seeds, _ = values.shape
    scores = scores_of(values, rule, directions)
    losses = losses_of(scores, directions)
    all_losses = np.concatenate([losses_of(values, directions).reshape(count * seeds, -1), losses])
    ideal, worst = all_losses.min(axis=0), all_losses.max(axis=0)
    extent = np.where(worst > ideal, worst - ideal, 1.0)
    reference = ideal + (1 + MARGIN) * extent

    def volume(points: Losses) -> float:
        return hypervolume((np.maximum(points, ideal) - ideal) / extent / (1 + MARGIN), np.ones(len(ideal)))

    drawn = np.sort(np.random.default_rng(RESAMPLING_SEED).integers(0, seeds, (resamples, seeds)), axis=1)
    on_front, chosen, volumes = np.zeros(count), np.zeros(count), []
    for places, times in Counter(map(tuple, drawn.tolist())).items():
        again = losses_of(scores_of(values[:, list(places)], rule, directions), directions)
        on_front += times * (np.array(fronts_of(again)) == 1)
        if (winner := choose(again)) is not None:
            chosen[winner] += times
        volumes += [volume(again)] * times
    low, high = np.quantile(volumes, [0.025, 0.975])
    return FrontsOverSeeds(
        scores_NK=tuple(tuple(map(float, row)) for row in scores),
        fronts=tuple(fronts_of(losses)),
        on_front=tuple(float(one) for one in on_front / resamples),
        chosen=tuple(float(one) for one in chosen / resamples),
        hypervolume=volume(losses),
        interval=(float(low), float(high)),
        ideal=tuple(map(float, losses_of(ideal, directions))),
        reference=tuple(map(float, losses_of(reference, directions))),
        resamples=resamples,
        resampling_seed=RESAMPLING_SEED,
    )
