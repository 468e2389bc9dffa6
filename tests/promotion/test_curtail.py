"""Exact curtailment against brute force: the bound is never exceeded, and the winner is the whole grid's."""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest

import hpo
from hpo.api import PromotionOptions, check_promotion
from hpo.core.errors import UsageError
from hpo.core.protocols import DONE
from hpo.core.records import Evaluation, Job, Status
from hpo.promotion.curtail import CurtailedSource
from hpo.promotion.grid import replicate
from hpo.stats.confidence import certainty
from hpo.stats.ranking import Candidate, rank
from hpo.stats.scoring import Rule

RULES = [Rule(lambda_=lambda_, ddof=ddof) for lambda_ in (0.0, 0.5, 1.0, 2.5) for ddof in (0, 1, "unbiased")]
RULES += [Rule(name="mean"), Rule(name="min"), Rule(name="median"), Rule(name="lcb")]
FAR = np.concatenate([[-1e6, -30.0, -3.0], np.linspace(-1, 1, 41), [3.0, 30.0, 1e6]])


def scores(rule, known, count, direction, unknown):
    return [rule.score([*known, *rest], direction) for rest in itertools.product(unknown, repeat=count - len(known))]


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_no_values_exceed_the_bound(rule, direction):
    draw = np.random.default_rng(4)
    better = max if direction == "maximize" else min
    for count, seen in [(3, 1), (3, 2), (4, 2), (5, 3)]:
        known = list(draw.normal(0, 0.3, seen))
        bound = rule.bound(known, count, direction)
        reached = better(scores(rule, known, count, direction, FAR if count - seen == 1 else FAR[::4]))
        assert reached <= bound + 1e-9 if direction == "maximize" else reached >= bound - 1e-9


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_bound_is_reached(rule):
    """By a value on a fine grid, or by one at the limit."""
    draw = np.random.default_rng(5)
    for _ in range(5):
        known = list(draw.uniform(0, 0.9, 2))
        bound = rule.bound(known, 3, "maximize", limit=1.0)
        assert max(scores(rule, known, 3, "maximize", np.linspace(-1, 1, 4001))) == pytest.approx(bound, abs=1e-4)


def test_bound_after_two_of_three_seeds():
    """(a + b) / 2 - |a - b| / sqrt(12), whatever the third seed brings."""
    assert Rule().bound([0.7, 0.5], 3, "maximize") == pytest.approx(0.6 - 0.2 / math.sqrt(12))
    assert Rule().bound([0.7], 3, "maximize") == math.inf
    assert Rule().bound([], 3, "maximize", limit=1.0) == 1.0


def curtailed(table, rule, direction, limit, slots, draw, seeds):
    """Runs the source with so many slots, chance deciding which replicate ends next."""
    candidates = {trial: [replicate(trial, {}, seed, 1, {}) for seed in seeds] for trial in range(len(table))}
    source = CurtailedSource(candidates, rule, direction, limit)
    running = []
    while True:
        while len(running) < slots and isinstance(job := source.ask(), Job):
            running.append(job)
        if not running:
            assert source.ask() is DONE
            return source.evaluations
        job = running.pop(draw.randrange(len(running)))
        value = table[job.trial][seeds.index(job.seed)]
        source.tell(Evaluation(job=job, status=Status.COMPLETE, value=value))


def ranking(table, evaluations, rule, direction, limit, seeds):
    candidates = [
        Candidate(trial=trial, values={s: evaluations[trial, s].value for s in seeds if (trial, s) in evaluations})
        for trial in range(len(table))
    ]
    return rank(candidates, seeds, rule, direction, limit)


def noisy(numbers, size, count):
    """Returns (size, count) values between 0 and 1 of candidates that differ in mean and sigma."""
    means, sigmas = numbers.normal(0.6, 0.05, (size, 1)), 0.03 * np.exp(numbers.normal(0, 0.7, (size, 1)))
    return np.clip(numbers.normal(means, sigmas, (size, count)), 0.0, 1.0)


@pytest.mark.parametrize("slots", [1, 3])
@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_winner_matches_the_whole_grid(rule, direction, slots):
    draw, numbers = random.Random(f"{rule}{direction}{slots}"), np.random.default_rng(6)
    for _ in range(40):
        count, size = draw.choice([3, 3, 5]), draw.choice([2, 5, 10])
        seeds = list(range(42, 42 + count))
        means, sigmas = numbers.normal(0.6, 0.05, size), 0.03 * np.exp(numbers.normal(0, 0.7, size))
        table = np.clip(numbers.normal(means[:, None], sigmas[:, None], (size, count)), 0.0, 1.0).round(
            draw.choice([2, 9])
        )
        limit = draw.choice([None, 1.0 if direction == "maximize" else 0.0])
        evaluations = curtailed(table, rule, direction, limit, slots, draw, seeds)
        found = ranking(table, evaluations, rule, direction, limit, seeds)
        everything = [Candidate(trial=t, values=dict(zip(seeds, row, strict=True))) for t, row in enumerate(table)]
        whole = rank(everything, seeds, rule, direction)
        assert found.winner.candidate.trial == whole.winner.candidate.trial
        assert found.winner.score == whole.winner.score
        assert not found.undecided or any(
            math.isclose(row.bound, found.winner.score, rel_tol=1e-9, abs_tol=1e-9) for row in found.rows if row.bound
        )


def test_it_saves_trainings():
    """k = 10, n = 3, equal noise: 22 of 30 trainings without a limit, about 20 with one."""
    numbers, draw = np.random.default_rng(0), random.Random(0)
    trained = {None: 0, 1.0: 0}
    for _ in range(200):
        table = (0.7 + 0.02 * (numbers.normal(0, 1, (10, 1)) + numbers.normal(0, 1, (10, 3)))).tolist()
        for limit in trained:
            trained[limit] += len(curtailed(table, Rule(), "maximize", limit, 1, draw, [42, 43, 44]))
    assert trained[None] / 200 < 24
    assert trained[1.0] <= trained[None]


def test_wrong_limit_keeps_the_winner():
    table = [[0.9, 1.5, 1.5], [0.95, 0.95, 0.95], [0.1, 9.0, 9.0]]
    evaluations = curtailed(table, Rule(lambda_=0.0), "maximize", 1.0, 1, random.Random(0), [42, 43, 44])
    assert ranking(table, evaluations, Rule(lambda_=0.0), "maximize", None, [42, 43, 44]).winner.candidate.trial == 2


def test_failed_replicate_is_incomplete():
    seeds = [42, 43, 44]
    source = CurtailedSource({t: [replicate(t, {}, s, 1, {}) for s in seeds] for t in range(2)}, Rule(), "maximize")
    while isinstance(job := source.ask(), Job):
        failed = (job.trial, job.seed) == (0, 43)
        status = Status.FAILED if failed else Status.COMPLETE
        source.tell(Evaluation(job=job, status=status, value=None if failed else 0.9 - job.trial / 10))
    found = ranking([0, 0], source.evaluations, Rule(), "maximize", None, seeds)
    assert [(row.candidate.trial, row.rank, row.bound) for row in found.rows] == [(1, 1, None), (0, None, None)]


@pytest.mark.slow
def test_curtailed_promotion_names_left_out(curve, config, capsys):
    study = curve(search={"trials": 12, "pruner": "none"}, promotion={"top": 6})
    hpo.run(study, config)
    short = hpo.promote(study, config, curtail=True)
    left_out = [row for row in short.ranking.rows if row.bound is not None]
    assert short.trained == 18 - sum(3 - len(row.candidate.values) for row in left_out)
    assert left_out
    again = hpo.promote(study, config, curtail=True)
    assert again.trained == 0
    whole = hpo.promote(study, config)
    assert whole.ranking.winner.candidate.trial == short.ranking.winner.candidate.trial
    assert whole.trained == 18 - short.trained
    assert whole.results == short.results
    from hpo.cli.output import print_text
    from hpo.promotion.shown import promotion_text, ranking_table

    print_text(ranking_table(short.report))
    assert "not finished" in (text := capsys.readouterr().out)
    assert "<= " in text
    assert "The whole grid has the same winner." in promotion_text(short)


def test_curtailed_other_rule_undecided():
    candidates = [Candidate(trial=0, values={42: 0.8, 43: 0.8, 44: 0.8}), Candidate(trial=1, values={42: 0.9, 43: 0.5})]
    own = rank(candidates, (42, 43, 44), Rule(), "maximize")
    assert (own.undecided, certainty(own, [41]).unknown) == ((), ["mean", "median"])
    other = own.under(Rule(name="mean"))
    assert (other.winner.candidate.trial, other.undecided) == (0, (1,))
    assert certainty(other, [41]).changes == {}


def test_useless_curtailing_is_refused(curve, config):
    with pytest.raises(UsageError, match=r"nothing can be left out under mean:.*\[objective\] limit"):
        check_promotion(curve(), config, PromotionOptions(rule="mean", curtail=True))
    check_promotion(curve(objective={"limit": 1.0}), config, PromotionOptions(rule="mean", curtail=True))
    check_promotion(curve(), config, PromotionOptions(curtail=True))
