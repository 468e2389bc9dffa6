"""The confidence in a promotion, against scipy, brute force and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from hpo.stats.confidence import certainty
from hpo.stats.ranking import Candidate, rank
from hpo.stats.reliability import shrunken_sigmas
from hpo.stats.scoring import Rule
from hpo.stats.statistics import (
    c4,
    chances_of_being_best,
    outperformance,
    sigma,
    sigma_error,
    spearman,
    t_interval,
    variation,
)

VALUES = st.lists(st.floats(-1e3, 1e3).map(lambda value: round(value, 6)), min_size=2, max_size=8)
RULES = [Rule(), Rule(lambda_=2.0, ddof=1), Rule(ddof="unbiased"), Rule(name="mean"), Rule(name="min")]
RULES += [Rule(name="median"), Rule(name="lcb")]


def ranked(table, search=None, rule=None, direction="maximize", seeds=(42, 43, 44)):
    candidates = [
        Candidate(
            trial=trial, values=dict(zip(seeds, values, strict=True)), search_value=search[trial] if search else None
        )
        for trial, values in enumerate(table)
    ]
    return rank(candidates, seeds, rule or Rule(), direction)


@pytest.mark.parametrize("count", [2, 3, 5, 10])
def test_unbiased_sigma_is_unbiased(count):
    draw = np.random.default_rng(7)
    found = [sigma(row, "unbiased") for row in draw.normal(0, 2, (20_000, count))]
    error = np.std(found) / math.sqrt(len(found))
    assert abs(np.mean(found) - 2) < 4 * error
    assert abs(np.mean([sigma(row, 0) for row in draw.normal(0, 2, (20_000, count))]) - 2) > 20 * error


def test_c4_matches_chi_mean():
    for count in (2, 3, 7, 40):
        assert c4(count) == pytest.approx(scipy.stats.chi(count - 1).mean() / math.sqrt(count - 1))


@pytest.mark.parametrize(("count", "expected"), [(1, None), (2, 75), (3, 50), (4, 40), (5, 35), (6, None)])
def test_sigma_error_matches_simulation(count, expected):
    assert sigma_error(count) == expected
    if expected is not None:
        found = [sigma(row, "unbiased") for row in np.random.default_rng(5).normal(0, 1, (20_000, count))]
        assert 100 * np.std(found) == pytest.approx(expected, abs=4)


@given(VALUES)
def test_rules_match_their_formulas(values):
    mean, deviation = np.mean(values), np.std(values)
    assert Rule(lambda_=0.5).score(values, "maximize") == pytest.approx(mean - 0.5 * deviation)
    assert Rule(lambda_=0.5).score(values, "minimize") == pytest.approx(mean + 0.5 * deviation)
    assert Rule(name="mean", lambda_=9.0).score(values, "maximize") == pytest.approx(mean)
    assert Rule(name="median").score(values, "minimize") == pytest.approx(
        sorted(values)[len(values) // 2]
        if len(values) % 2
        else np.mean(sorted(values)[len(values) // 2 - 1 : len(values) // 2 + 1])
    )
    assert (Rule(name="min").score(values, "maximize"), Rule(name="min").score(values, "minimize")) == (
        min(values),
        max(values),
    )
    assert (Rule(name="lcb").score(values, "maximize"), Rule(name="lcb").score(values, "minimize")) == pytest.approx(
        t_interval(values)
    )


@pytest.mark.parametrize("rule", RULES)
def test_minimizing_mirrors_every_rule(rule):
    draw = np.random.default_rng(3)
    for _ in range(50):
        table = draw.normal(0, 1, (5, 3))
        up, down = ranked(table, rule=rule), ranked(-table, rule=rule, direction="minimize")
        assert [row.candidate.trial for row in up.rows] == [row.candidate.trial for row in down.rows]


def test_reference_table_is_reproduced():
    """Accuracy 0.696 +- 0.026 and kappa 0.721 +- 0.025 of the reference run, with their variation in per cent."""
    accuracy, kappa = (0.676, 0.733, 0.679), (0.697, 0.756, 0.710)
    assert [f"{np.mean(one):.3f} +- {sigma(one, 0):.3f}" for one in (accuracy, kappa)] == [
        "0.696 +- 0.026",
        "0.721 +- 0.025",
    ]
    assert variation(accuracy, 0) == pytest.approx(3.76, abs=0.01)
    assert variation((0.0, 0.0), 0) is None


def test_optimism_is_over_all_candidates():
    table, search = [[0.7, 0.8, 0.9], [0.5, 0.5, 0.5]], [0.9, 0.8]
    sure = certainty(ranked(table, search), [41])
    assert sure.optimism == pytest.approx((0.1 + 0.3) / 2)
    assert sure.optimism_interval == pytest.approx(
        scipy.stats.t.interval(0.95, 1, loc=0.2, scale=scipy.stats.sem([0.1, 0.3]))
    )
    mirrored = certainty(ranked(-np.array(table), [-0.9, -0.8], direction="minimize"), [41])
    assert mirrored.optimism == pytest.approx(sure.optimism)


def test_optimism_skips_search_seeds():
    table = [[0.9, 0.7, 0.7], [0.8, 0.72, 0.74]]
    sure = certainty(ranked(table, [0.9, 0.8]), [42])
    assert sure.seen == (42,)
    assert sure.optimism == pytest.approx((0.2 + 0.07) / 2)
    assert certainty(ranked(table, [0.9, 0.8]), [41]).seen == ()


def test_unseen_winner_skips_search_seeds():
    ranking = ranked([[0.99, 0.80, 0.80], [0.7, 0.85, 0.85]], [0.99, 0.7], Rule(name="mean"))
    sure = certainty(ranking, [42])
    assert (ranking.winner.candidate.trial, sure.unseen_winner) == (0, 1)
    assert certainty(ranking, [41]).unseen_winner is None


@pytest.mark.slow
def test_optimism_is_right_on_average():
    """The ten best of 100 trials are promoted; the mean gap of all ten is the true one, the winner's own is not."""
    draw = np.random.default_rng(11)
    expected, true, own = [], [], []
    for _ in range(400):
        means = draw.normal(0, 1, 100)
        search = means + draw.normal(0, 1, 100)
        best = np.argsort(-search)[:10]
        ranking = ranked([means[one] + draw.normal(0, 1, 3) for one in best], [search[one] for one in best])
        expected.append(certainty(ranking, [41]).optimism)
        true.append(np.mean(search[best] - means[best]))
        winner = ranking.winner
        own.append(winner.candidate.search_value - winner.mean)
    assert abs(np.mean(expected) - np.mean(true)) < 0.05
    assert abs(np.mean(own) - np.mean(true)) > 0.3


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=3, max_size=9))
def test_spearman_matches_scipy(pairs):
    first, second = zip(*pairs, strict=True)
    if len(set(first)) < 2 or len(set(second)) < 2:
        assert spearman(first, second) is None
        return
    ranks = [scipy.stats.rankdata(one) for one in (first, second)]
    assert spearman(first, second) == pytest.approx(np.corrcoef(*ranks)[0, 1])


def test_two_pairs_have_no_correlation():
    assert spearman([1, 2], [2, 1]) is None


@given(VALUES, st.randoms())
def test_outperformance_halves_ties(values, draw):
    others = [draw.choice([value, value + 1, value - 1]) for value in values]
    counted = sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in zip(values, others, strict=True))
    assert outperformance(values, others) == pytest.approx(counted / len(values))
    assert outperformance(values, others) + outperformance(others, values) == pytest.approx(1)


def test_five_seeds_can_decide_a_pair():
    """Even if one wins on every seed: the smallest one-sided p of a sign test is 2^-n."""
    assert scipy.stats.binomtest(3, 3, alternative="greater").pvalue == pytest.approx(1 / 8)
    three = certainty(ranked([[3, 3, 3], [1, 1, 1]]), [41]).pairs[0]
    assert (three.first, three.second, three.outperformance, three.decidable) == (0, 1, 1.0, False)
    five = certainty(ranked([[3] * 5, [1] * 5], seeds=range(42, 47)), [41]).pairs[0]
    assert scipy.stats.binomtest(5, 5, alternative="greater").pvalue < 0.05
    assert five.decidable


@pytest.mark.parametrize("count", [3, 8])
def test_equal_samples_have_equal_chances(count):
    values = np.random.default_rng(1).normal(0, 1, count)
    assert chances_of_being_best([values, values], 1.0) == pytest.approx([0.5, 0.5], abs=0.02)


def test_chances_match_t_distributions():
    """With lambda = 0 the posterior of a mean is m + s / sqrt(n) * t, so the difference can be sampled directly."""
    first, second = [1.0, 1.2, 0.9, 1.1], [0.8, 1.1, 0.9, 1.05]
    draw = np.random.default_rng(5)
    shifted = [np.mean(one) + np.std(one, ddof=1) / 2 * draw.standard_t(3, 400_000) for one in (first, second)]
    expected = float(np.mean(shifted[0] > shifted[1]))
    assert chances_of_being_best([first, second], 0.0)[0] == pytest.approx(expected, abs=0.02)


def test_chances_are_calibrated():
    """Means and sigmas from a wide prior: of those called best with probability p, a share p is best."""
    draw = np.random.default_rng(2)
    expected, hit = [], []
    for _ in range(600):
        means, sigmas = draw.normal(0, 2, 4), np.exp(draw.normal(0, 0.5, 4))
        samples = [draw.normal(mean, one, 8) for mean, one in zip(means, sigmas, strict=True)]
        chances = chances_of_being_best(samples, 1.0, draws=2000)
        best = int(np.argmax(means - sigmas))
        expected.append(max(chances))
        hit.append(int(np.argmax(chances)) == best)
    assert np.mean(hit) == pytest.approx(np.mean(expected), abs=0.05)


def test_chances_are_deterministic():
    values = [[0.1, 0.2, 0.3], [0.2, 0.25, 0.2]]
    assert chances_of_being_best(values, 1.0) == chances_of_being_best(values, 1.0)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_few_seeds_give_no_chances(count):
    draw = np.random.default_rng(8)
    assert certainty(ranked(draw.normal(0, 1, (4, count)), seeds=range(42, 42 + count)), [41]).chances == {}
    assert certainty(ranked(draw.normal(0, 1, (4, 6)), seeds=range(42, 48)), [41]).chances


@given(st.integers(0, 10_000))
def test_other_conventions_match_rankings(seed):
    table = np.random.default_rng(seed).normal(0, 1, (4, 3)).round(2)
    sure = certainty(ranked(table), [41])
    expected = {
        "ddof 1": Rule(ddof=1),
        "ddof unbiased": Rule(ddof="unbiased"),
        "mean": Rule(name="mean"),
        "min": Rule(name="min"),
        "median": Rule(name="median"),
        "lcb": Rule(name="lcb"),
    }
    own = ranked(table).winner.candidate.trial
    found = {name: ranked(table, rule=rule).winner.candidate.trial for name, rule in expected.items()}
    shrunken = shrunken_sigmas([float(np.std(values)) for values in table], 3)
    found["shrunken sigma"] = int(np.argmax(np.mean(table, axis=1) - shrunken))
    assert sure.changes == {name: trial for name, trial in found.items() if trial != own}
    assert sure.stays == [name for name, trial in found.items() if trial == own]


def test_too_few_values_claim_nothing():
    alone = certainty(ranked([[1.0, 2.0, 3.0]], [2.5]), [41])
    assert (alone.chances, alone.pairs, alone.correlation, alone.optimism_interval) == ({}, (), None, None)
    once = certainty(ranked([[1.0], [2.0]], [1.5, 2.5], seeds=(42,)), [41])
    assert once.chances == {}
    assert set(once.winners) == {"as it is", "mean", "min", "median"}
    nothing = certainty(ranked([[None, 1.0, 1.0]], [1.0]), [41])
    assert (nothing.optimism, nothing.pairs, nothing.changes) == (None, (), {})


def test_pairs_name_the_better_first():
    ranking = ranked([[1.0, 1.1, 1.2], [3.0, 3.1, 3.2], [2.0, 2.1, 2.2]])
    assert [(pair.first, pair.second) for pair in certainty(ranking, [41]).pairs] == [(1, 2), (1, 0), (2, 0)]
