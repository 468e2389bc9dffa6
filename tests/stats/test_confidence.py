"""How sure a promotion is: against scipy, brute force and simulation, not against its own output."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from hpo.stats.confidence import certainty
from hpo.stats.ranking import Candidate, rank
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
def test_the_unbiased_sigma_is_right_on_average(count):
    draw = np.random.default_rng(7)
    found = [sigma(row, "unbiased") for row in draw.normal(0, 2, (20_000, count))]
    error = np.std(found) / math.sqrt(len(found))
    assert abs(np.mean(found) - 2) < 4 * error
    assert abs(np.mean([sigma(row, 0) for row in draw.normal(0, 2, (20_000, count))]) - 2) > 20 * error


def test_c4_is_the_mean_of_the_chi_distribution():
    for count in (2, 3, 7, 40):
        assert c4(count) == pytest.approx(scipy.stats.chi(count - 1).mean() / math.sqrt(count - 1))


@pytest.mark.parametrize(("count", "said"), [(1, None), (2, 75), (3, 50), (4, 40), (5, 35), (6, None)])
def test_the_error_of_a_sigma_is_that_of_many_simulated_ones(count, said):
    assert sigma_error(count) == said
    if said is not None:
        found = [sigma(row, "unbiased") for row in np.random.default_rng(5).normal(0, 1, (20_000, count))]
        assert 100 * np.std(found) == pytest.approx(said, abs=4)


@given(VALUES)
def test_every_rule_is_what_it_says(values):
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


def test_the_reference_table_comes_out_for_every_metric():
    """Accuracy 0.696 +- 0.026 and kappa 0.721 +- 0.025 of the reference run, with their variation in per cent."""
    accuracy, kappa = (0.676, 0.733, 0.679), (0.697, 0.756, 0.710)
    assert [f"{np.mean(one):.3f} +- {sigma(one, 0):.3f}" for one in (accuracy, kappa)] == [
        "0.696 +- 0.026",
        "0.721 +- 0.025",
    ]
    assert variation(accuracy, 0) == pytest.approx(3.76, abs=0.01)
    assert variation((0.0, 0.0), 0) is None


def test_optimism_is_over_all_candidates_and_not_the_winner_s():
    table, search = [[0.7, 0.8, 0.9], [0.5, 0.5, 0.5]], [0.9, 0.8]
    sure = certainty(ranked(table, search), [41])
    assert sure.optimism == pytest.approx((0.1 + 0.3) / 2)
    assert sure.optimism_interval == pytest.approx(
        scipy.stats.t.interval(0.95, 1, loc=0.2, scale=scipy.stats.sem([0.1, 0.3]))
    )
    mirrored = certainty(ranked(-np.array(table), [-0.9, -0.8], direction="minimize"), [41])
    assert mirrored.optimism == pytest.approx(sure.optimism)


def test_a_seed_that_the_search_used_says_nothing_of_its_optimism():
    table = [[0.9, 0.7, 0.7], [0.8, 0.72, 0.74]]
    sure = certainty(ranked(table, [0.9, 0.8]), [42])
    assert sure.seen == (42,)
    assert sure.optimism == pytest.approx((0.2 + 0.07) / 2)
    assert certainty(ranked(table, [0.9, 0.8]), [41]).seen == ()


def test_the_winner_without_a_seed_that_the_search_used_is_named():
    ranking = ranked([[0.99, 0.80, 0.80], [0.7, 0.85, 0.85]], [0.99, 0.7], Rule(name="mean"))
    sure = certainty(ranking, [42])
    assert (ranking.winner.candidate.trial, sure.unseen_winner) == (0, 1)
    assert certainty(ranking, [41]).unseen_winner is None


def test_on_average_optimism_is_what_the_search_overstates():
    """Of 100 trials the ten best are promoted; the gap over all ten is the true one, the winner's own is not."""
    draw = np.random.default_rng(11)
    said, true, own = [], [], []
    for _ in range(400):
        means = draw.normal(0, 1, 100)
        search = means + draw.normal(0, 1, 100)
        best = np.argsort(-search)[:10]
        ranking = ranked([means[one] + draw.normal(0, 1, 3) for one in best], [search[one] for one in best])
        said.append(certainty(ranking, [41]).optimism)
        true.append(np.mean(search[best] - means[best]))
        winner = ranking.winner
        own.append(winner.candidate.search_value - winner.mean)
    assert abs(np.mean(said) - np.mean(true)) < 0.05
    assert abs(np.mean(own) - np.mean(true)) > 0.3


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=3, max_size=9))
def test_rank_correlation_is_scipy_s(pairs):
    first, second = zip(*pairs, strict=True)
    if len(set(first)) < 2 or len(set(second)) < 2:
        assert spearman(first, second) is None
        return
    ranks = [scipy.stats.rankdata(one) for one in (first, second)]
    assert spearman(first, second) == pytest.approx(np.corrcoef(*ranks)[0, 1])


def test_two_pairs_have_no_rank_correlation():
    assert spearman([1, 2], [2, 1]) is None


@given(VALUES, st.randoms())
def test_outperformance_counts_pairs_and_halves_ties(values, draw):
    others = [draw.choice([value, value + 1, value - 1]) for value in values]
    counted = sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in zip(values, others, strict=True))
    assert outperformance(values, others) == pytest.approx(counted / len(values))
    assert outperformance(values, others) + outperformance(others, values) == pytest.approx(1)


def test_three_seeds_decide_no_pair_and_five_can():
    """Even if one is better on every seed: the smallest one-sided p of a sign test is 2^-n."""
    assert scipy.stats.binomtest(3, 3, alternative="greater").pvalue == pytest.approx(1 / 8)
    three = certainty(ranked([[3, 3, 3], [1, 1, 1]]), [41]).pairs[0]
    assert (three.first, three.second, three.outperformance, three.decidable) == (0, 1, 1.0, False)
    five = certainty(ranked([[3] * 5, [1] * 5], seeds=range(42, 47)), [41]).pairs[0]
    assert scipy.stats.binomtest(5, 5, alternative="greater").pvalue < 0.05
    assert five.decidable


@pytest.mark.parametrize("count", [3, 8])
def test_the_chance_of_two_alike_is_a_half(count):
    values = np.random.default_rng(1).normal(0, 1, count)
    assert chances_of_being_best([values, values], 1.0) == pytest.approx([0.5, 0.5], abs=0.02)


def test_the_chance_that_the_better_mean_is_better_is_that_of_two_t_distributions():
    """With lambda = 0 the posterior of a mean is m + s / sqrt(n) * t, so the difference can be drawn another way."""
    first, second = [1.0, 1.2, 0.9, 1.1], [0.8, 1.1, 0.9, 1.05]
    draw = np.random.default_rng(5)
    shifted = [np.mean(one) + np.std(one, ddof=1) / 2 * draw.standard_t(3, 400_000) for one in (first, second)]
    expected = float(np.mean(shifted[0] > shifted[1]))
    assert chances_of_being_best([first, second], 0.0)[0] == pytest.approx(expected, abs=0.02)


def test_from_six_seeds_on_a_chance_is_what_it_says():
    """Means and sigmas drawn from a wide prior: among those said to be best with p, a share p is."""
    draw = np.random.default_rng(2)
    said, hit = [], []
    for _ in range(600):
        means, sigmas = draw.normal(0, 2, 4), np.exp(draw.normal(0, 0.5, 4))
        samples = [draw.normal(mean, one, 8) for mean, one in zip(means, sigmas, strict=True)]
        chances = chances_of_being_best(samples, 1.0, draws=2000)
        best = int(np.argmax(means - sigmas))
        said.append(max(chances))
        hit.append(int(np.argmax(chances)) == best)
    assert np.mean(hit) == pytest.approx(np.mean(said), abs=0.05)


def test_chances_do_not_depend_on_the_call():
    values = [[0.1, 0.2, 0.3], [0.2, 0.25, 0.2]]
    assert chances_of_being_best(values, 1.0) == chances_of_being_best(values, 1.0)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_below_six_seeds_there_is_no_chance_of_being_best(count):
    draw = np.random.default_rng(8)
    assert certainty(ranked(draw.normal(0, 1, (4, count)), seeds=range(42, 42 + count)), [41]).chances == {}
    assert certainty(ranked(draw.normal(0, 1, (4, 6)), seeds=range(42, 48)), [41]).chances


@given(st.integers(0, 10_000))
def test_the_winners_under_other_conventions_are_those_of_rankings_by_them(seed):
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
    assert sure.changes == {name: trial for name, trial in found.items() if trial != own}
    assert sure.stays == [name for name, trial in found.items() if trial == own]


def test_of_one_seed_or_one_candidate_nothing_is_claimed():
    alone = certainty(ranked([[1.0, 2.0, 3.0]], [2.5]), [41])
    assert (alone.chances, alone.pairs, alone.correlation, alone.optimism_interval) == ({}, (), None, None)
    once = certainty(ranked([[1.0], [2.0]], [1.5, 2.5], seeds=(42,)), [41])
    assert once.chances == {}
    assert set(once.winners) == {"as it is", "mean", "min", "median"}
    nothing = certainty(ranked([[None, 1.0, 1.0]], [1.0]), [41])
    assert (nothing.optimism, nothing.pairs, nothing.changes) == (None, (), {})


def test_pairs_are_of_every_two_candidates_the_better_ranked_first():
    ranking = ranked([[1.0, 1.1, 1.2], [3.0, 3.1, 3.2], [2.0, 2.1, 2.2]])
    assert [(pair.first, pair.second) for pair in certainty(ranking, [41]).pairs] == [(1, 2), (1, 0), (2, 0)]
