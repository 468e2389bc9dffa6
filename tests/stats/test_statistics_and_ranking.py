from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from hpo.stats.ranking import Candidate, rank
from hpo.stats.scoring import Rule
from hpo.stats.statistics import sigma, t_interval

SEEDS = (42, 43, 44)
VALUES = st.lists(st.floats(-1e3, 1e3).map(lambda value: round(value, 6)), min_size=3, max_size=3)


def candidates(table, search=None):
    return [
        Candidate(trial=trial, values=dict(zip(SEEDS, values, strict=True)), search_value=search)
        for trial, values in enumerate(table)
    ]


def order(ranking):
    return [row.candidate.trial for row in ranking.rows]


def test_sigma_matches_the_reference_table():
    """Accuracy 0.696 +- 0.026 and kappa 0.721 +- 0.025 of the reference run divide by n; by n - 1 they would not."""
    accuracy, kappa = (0.676, 0.733, 0.679), (0.697, 0.756, 0.710)
    assert (round(np.mean(accuracy), 3), round(sigma(accuracy, 0), 3)) == (0.696, 0.026)
    assert (round(np.mean(kappa), 3), round(sigma(kappa, 0), 3)) == (0.721, 0.025)
    assert round(sigma(accuracy, 1), 3) == 0.032


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=12))
def test_t_interval_matches_scipy(values):
    low, high = t_interval(values)
    error = scipy.stats.sem(values)
    if error < 1e-9:
        assert math.isclose(low, high, abs_tol=1e-6)
        return
    expected = scipy.stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=error)
    assert np.allclose((low, high), expected)


def test_a_single_value_has_no_interval():
    assert t_interval([0.5]) is None


@given(st.lists(VALUES, min_size=1, max_size=8), st.floats(0, 3), st.sampled_from([0, 1]))
def test_order_is_mean_minus_lambda_sigma(table, lambda_, ddof):
    ranking = rank(candidates(table), SEEDS, Rule(lambda_=lambda_, ddof=ddof), "maximize")
    scores = [float(np.mean(values) - lambda_ * np.std(values, ddof=ddof)) for values in table]
    assert ranking.winner.score == pytest.approx(max(scores))
    assert [row.score for row in ranking.rows] == sorted((row.score for row in ranking.rows), reverse=True)
    assert sorted(order(ranking)) == list(range(len(table)))


@given(st.lists(VALUES, min_size=1, max_size=8), st.floats(0, 3))
def test_minimizing_mirrors_maximizing(table, lambda_):
    up = rank(candidates(table), SEEDS, Rule(lambda_=lambda_), "maximize")
    down = rank(
        candidates([[-value for value in values] for values in table]), SEEDS, Rule(lambda_=lambda_), "minimize"
    )
    assert order(up) == order(down)
    assert [row.score for row in up.rows] == pytest.approx([-row.score for row in down.rows])


@given(st.lists(VALUES, min_size=2, max_size=6), st.permutations(range(6)))
def test_ranking_ignores_input_order(table, shuffled):
    made = candidates(table)
    mixed = [made[index] for index in shuffled if index < len(made)]
    assert order(rank(made, SEEDS, Rule(), "maximize")) == order(rank(mixed, SEEDS, Rule(), "maximize"))


def test_steady_beats_lucky():
    ranking = rank(candidates([[0.90, 0.60, 0.75], [0.74, 0.75, 0.73]]), SEEDS, Rule(), "maximize")
    assert order(ranking) == [1, 0]
    assert order(rank(candidates([[0.90, 0.60, 0.75], [0.74, 0.75, 0.73]]), SEEDS, Rule(lambda_=0), "maximize")) == [
        0,
        1,
    ]


def test_ties_go_to_mean_then_number():
    equal = candidates([[0.5, 0.5, 0.5], [0.5, 0.5, 0.5]])
    assert order(rank(equal, SEEDS, Rule(), "maximize")) == [0, 1]
    # 0.25 and 1.25 with sigma 0.5: score 0.25, as the steady candidate's, exactly
    better_mean = [Candidate(trial=0, values={42: 0.25, 43: 0.25}), Candidate(trial=1, values={42: 0.25, 43: 1.25})]
    assert order(rank(better_mean, (42, 43), Rule(), "maximize")) == [1, 0]


def test_incomplete_candidates_have_no_rank():
    ranking = rank(candidates([[0.9, 0.9, None], [0.1, 0.1, 0.1]]), SEEDS, Rule(), "maximize")
    assert order(ranking) == [1, 0]
    assert [row.rank for row in ranking.rows] == [1, None]
    assert (ranking.rows[1].mean, ranking.rows[1].sigma, ranking.rows[1].score) == (None, None, None)


def test_no_complete_candidate_no_winner():
    assert rank(candidates([[None, 0.1, 0.1]]), SEEDS, Rule(), "maximize").winner is None
    assert rank([], SEEDS, Rule(), "maximize").winner is None
