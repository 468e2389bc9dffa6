"""Fronts and hypervolumes, against their definitions and Optuna's own."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna._hypervolume import compute_hypervolume

from hpo.stats.fronts import (
    RESAMPLES,
    crowding,
    fronts_of,
    fronts_over_seeds,
    hypervolume,
    losses_of,
    shares_of_range,
    spread_first,
)
from hpo.stats.scoring import Rule

NUMBER = st.integers(0, 6).map(float)  # few values, so that points are equal and tied
POINTS = st.integers(2, 4).flatmap(lambda k: st.lists(st.lists(NUMBER, min_size=k, max_size=k), min_size=1, max_size=7))
MEAN = Rule(name="mean")


def dominates(one, other):
    return all(a <= b for a, b in zip(one, other, strict=True)) and list(one) != list(other)


def by_definition(points):
    """The front of each point, as the length of the longest chain of points that dominate each other."""

    def depth(one):
        return 1 + max((depth(other) for other in points if dominates(other, one)), default=0)

    return [depth(one) for one in points]


def by_counting(points, reference):
    """The hypervolume of points with whole numbers, cell by cell."""
    cells = itertools.product(*(range(int(end)) for end in reference))
    return sum(any(all(p <= c for p, c in zip(one, cell, strict=True)) for one in points) for cell in cells)


@given(POINTS)
def test_fronts_by_definition(points):
    assert fronts_of(points) == by_definition(points)


@given(POINTS)
def test_hypervolume_by_counting_cells(points):
    reference = [5] * len(points[0])
    assert hypervolume(points, reference) == pytest.approx(by_counting(points, reference))


@given(POINTS)
def test_hypervolume_as_optuna_has_it(points):
    reference = np.full(len(points[0]), 6.5)
    assert hypervolume(points, reference) == pytest.approx(compute_hypervolume(np.array(points), reference))


@given(POINTS, st.randoms())
def test_fronts_do_not_depend_on_the_order(points, random):
    places = random.sample(range(len(points)), len(points))
    assert [fronts_of(points)[place] for place in places] == fronts_of([points[place] for place in places])
    assert hypervolume([points[place] for place in places], [6] * len(points[0])) == pytest.approx(
        hypervolume(points, [6] * len(points[0]))
    )


def test_no_points():
    assert fronts_of([]) == []
    assert spread_first([]) == []
    assert hypervolume(np.empty((0, 2)), [1.0, 1.0]) == 0.0


def test_the_ends_of_a_front_come_first():
    front = [[0.0, 4.0], [1.0, 3.0], [1.1, 2.9], [4.0, 0.0]]
    assert crowding(front)[0] == crowding(front)[3] == np.inf
    assert crowding(front)[2] == pytest.approx(3 / 4 + 3 / 4)
    assert spread_first([[9.0, 9.0], *front]) == [1, 4, 3, 2, 0]


def test_losses_turn_what_is_maximized():
    assert losses_of([[0.9, 20.0]], ["maximize", "minimize"]).tolist() == [[-0.9, 20.0]]


def test_an_objective_without_a_range_counts_nowhere():
    scaled = shares_of_range([[0.0, 5.0], [2.0, 5.0], [1.0, 7.0]], [[0.0, 5.0], [2.0, 5.0]])
    assert scaled.tolist() == [[0.0, 0.0], [1.0, 0.0], [0.5, 0.0]]


def over_seeds(values, rule=MEAN, directions=("maximize", "minimize")):
    return fronts_over_seeds(values, rule, directions, lambda losses: int(losses[:, 0].argmin()))


def test_a_noisy_candidate_is_seldom_on_the_front():
    steady, noisy = [[0.9, 10.0]] * 4, [[0.7, 10.0], [0.7, 10.0], [0.7, 10.0], [1.2, 10.0]]
    found = over_seeds([steady, noisy])
    assert found.fronts == (1, 2)
    assert found.on_front[0] > 0.6
    assert 0.1 < found.on_front[1] < 0.4
    assert found.chosen[0] + found.chosen[1] == pytest.approx(1.0)


@given(st.lists(st.lists(st.lists(NUMBER, min_size=2, max_size=2), min_size=3, max_size=3), min_size=1, max_size=4))
def test_resamples_as_one_by_one(values):
    found = over_seeds(values, Rule(lambda_=1.0))
    drawn = np.random.default_rng(0).integers(0, 3, (RESAMPLES, 3))[:40]
    few = fronts_over_seeds(values, Rule(lambda_=1.0), ("maximize", "minimize"), lambda _: 0, resamples=40)
    shares = np.zeros(len(values))
    for places in drawn:
        points = np.array(values)[:, places]
        losses = np.stack(
            [
                -(points[..., 0].mean(axis=1) - points[..., 0].std(axis=1)),
                points[..., 1].mean(axis=1) + points[..., 1].std(axis=1),
            ],
            axis=1,
        )
        shares += [all(not dominates(other, one) for other in losses.round(9)) for one in losses.round(9)]
    assert few.on_front == pytest.approx(tuple(shares / 40), abs=0.051)  # rounding may break a tie in the last digits
    assert 0 <= found.interval[0] <= found.interval[1] <= 1
    assert 0 <= found.hypervolume <= 1


def test_scores_follow_the_direction():
    found = over_seeds([[[0.8, 10.0], [0.9, 20.0]]], Rule(lambda_=1.0))
    assert found.scores_NK[0] == pytest.approx((0.85 - 0.05, 15.0 + 5.0))


def test_the_box_of_the_hypervolume():
    found = over_seeds([[[0.8, 10.0], [0.8, 10.0]], [[0.9, 20.0], [0.9, 20.0]]])
    assert found.ideal == pytest.approx((0.9, 10.0))
    assert found.reference == pytest.approx((0.8 - 0.01, 20.0 + 1.0))
    assert found.interval[0] == found.interval[1] == pytest.approx(found.hypervolume)
    assert found.hypervolume == pytest.approx((2 * 0.1 * 1.1 - 0.1 * 0.1) / 1.1**2)
