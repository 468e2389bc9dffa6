"""When equal replicates under different seeds mean an ignored seed, and when they may be chance."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.core.records import Evaluation, Job, Objective, Report, Stage, Status
from hpo.stats.ranking import Candidate, rank
from hpo.stats.scoring import Rule
from hpo.stats.seed_use import CLOCKS, Use, seed_uses, seed_warnings

OBJECTIVE = Objective(metric="acc")
SEEDS = (42, 43, 44)


def replicate(seed, history, digests=None, trial=0, stage=Stage.PROMOTION):
    """A complete training with these metrics, one mapping per step."""
    reports = tuple(Report(step=step, metrics=metrics, at=float(seed)) for step, metrics in enumerate(history, 1))
    job = Job(trial=trial, params={}, seed=seed, budget=len(history), stage=stage)
    value = history[-1]["acc"]
    return Evaluation(
        job=job, status=Status.COMPLETE, value=value, step=len(history), reports=reports, digests=digests or {}
    )


def use_of(*replicates, objective=OBJECTIVE):
    return seed_uses(replicates, objective)[0]


def float32(value):
    return struct.unpack("f", struct.pack("f", value))[0]


def curve(*values, **others):
    return [{"acc": value, **others} for value in values]


def test_equal_curves_mean_an_ignored_seed():
    found = use_of(*(replicate(seed, curve(0.61234567, 0.71234567)) for seed in SEEDS))
    assert (found.use, found.equal, found.is_whole) == (Use.IGNORED, (SEEDS,), True)


def test_equal_weights_mean_an_ignored_seed():
    found = use_of(*(replicate(seed, curve(1.0, latency=seed), {"weights": "w"}) for seed in SEEDS))
    assert found.use is Use.IGNORED


def test_different_weights_mean_a_used_seed():
    found = use_of(*(replicate(seed, curve(1.0, 1.0), {"weights": f"w{seed}"}) for seed in SEEDS))
    assert (found.use, found.equal) == (Use.USED, ())


def test_different_losses_mean_a_used_seed():
    found = use_of(*(replicate(seed, curve(1.0, 1.0, loss=1 / seed)) for seed in SEEDS))
    assert found.use is Use.USED


@pytest.mark.parametrize("name", ["latency_ms", "seconds", "train_time", "images_per_second", "step/time"])
def test_times_do_not_hide_an_ignored_seed(name):
    found = use_of(*(replicate(seed, curve(0.61234567, 0.7, **{name: float(seed)})) for seed in SEEDS))
    assert found.use is Use.IGNORED


@pytest.mark.parametrize("name", ["loss", "acc", "val_kappa", "sensitivity", "items", "times_two_loss_x"[6:]])
def test_other_metrics_are_not_times(name):
    assert CLOCKS.search(name) is None


def test_ignored_metrics_are_not_compared():
    runs = [replicate(seed, curve(0.7, 0.7, stamp=float(seed))) for seed in SEEDS]
    assert use_of(*runs).use is Use.USED
    runs = [replicate(seed, [{"acc": 0.7, "stamp": 1.0 / seed}, {"acc": 0.61234567}]) for seed in SEEDS]
    assert use_of(*runs, objective=Objective(metric="acc", ignore=("stamp",))).use is Use.IGNORED


@pytest.mark.parametrize("digests", [{}, {"weights": "w"}])
def test_a_fixed_value_is_reported(digests):
    runs = [
        replicate(seed, curve(0.61234567, 0.71234567, memory=1 / seed), {k: f"{v}{seed}" for k, v in digests.items()})
        for seed in SEEDS
    ]
    found = use_of(*runs)
    assert (found.use, found.value_only, found.is_whole) == (Use.IGNORED, True, True)
    assert seed_warnings([found], 1) == [
        "The value ignores the seed: for trial 0 it is bit-identical under seeds 42 43 44, though weights or other "
        "metrics differ. Its sigma is not meaningful; check how the value is computed."
    ]


def test_equal_shares_with_different_weights():
    found = use_of(*(replicate(seed, curve(0.5, 0.75), {"weights": f"w{seed}"}) for seed in SEEDS))
    assert found.use is Use.USED


@pytest.mark.parametrize("values", [(0.5,), (0.61234567,), (1.0,), (1.0, 1.0, 1.0), (0.61234567,) * 3])
def test_one_number_is_unclear(values):
    found = use_of(*(replicate(seed, curve(*values)) for seed in SEEDS))
    assert found.use is Use.UNCLEAR
    assert seed_warnings([found], 3)[0].startswith(
        "Cannot tell whether the seed is used: trial 0 yielded the same values"
    )


def test_two_equal_seeds_of_three_are_named():
    histories = {42: curve(0.61234567, 0.7), 43: curve(0.61234567, 0.7), 44: curve(0.62, 0.71)}
    found = use_of(*(replicate(seed, history) for seed, history in histories.items()))
    assert (found.use, found.equal, found.is_whole) == (Use.IGNORED, ((42, 43),), False)
    assert "replicates of trial 0 are bit-identical under seeds 42 43, " in seed_warnings([found], 1)[0]


def test_equal_float32_may_be_chance():
    """A share of 450 cases that torch has computed: no double near it is the exact share."""
    shares = {42: 433 / 450, 43: 431 / 450, 44: 433 / 450}
    runs = [replicate(seed, curve(float32(430 / 450), float32(share))) for seed, share in shares.items()]
    assert use_of(*runs).use is Use.USED


def test_equal_shares_may_be_chance():
    histories = {42: curve(29 / 30, 1.0), 43: curve(29 / 30, 1.0), 44: curve(28 / 30, 1.0)}
    assert use_of(*(replicate(seed, history) for seed, history in histories.items())).use is Use.USED


def test_equal_weights_are_reported():
    found = use_of(*(replicate(seed, curve(1 / seed), {"weights": "w"}) for seed in SEEDS))
    assert (found.use, found.same_weights) == (Use.USED, SEEDS)
    assert (
        "The weights of trial 0 are bit-identical under seeds 42 43 44, though its values differ"
        in seed_warnings([found], 1)[0]
    )


def test_equal_initial_weights_are_reported():
    runs = [
        replicate(seed, curve(0.6 + 1 / seed, 0.7 + 1 / seed), {"start": "s", "weights": f"w{seed}"}) for seed in SEEDS
    ]
    found = use_of(*runs)
    assert (found.use, found.same_start) == (Use.USED, True)
    assert seed_warnings([found], 1)[0].startswith(
        "The seed does not affect the initial weights: trial 0 starts from the same ones"
    )


def test_equal_final_weights_mean_ignored():
    runs = [replicate(seed, curve(0.5, 0.7), {"start": f"s{seed}", "weights": "w"}) for seed in SEEDS]
    assert (use_of(*runs).use, use_of(*runs).same_start) == (Use.IGNORED, False)


def test_only_promotion_replicates_count():
    same = curve(0.61234567, 0.7)
    searched = replicate(41, same, stage=Stage.SEARCH)
    assert seed_uses([replicate(42, same), searched], OBJECTIVE) == {}


@given(st.lists(st.floats(0.01, 0.99), min_size=3, max_size=6, unique=True), st.booleans())
def test_ignored_seeds_are_always_found(values, ignored):
    runs = [replicate(seed, curve(*(value + (0 if ignored else seed) for value in values))) for seed in SEEDS]
    assert use_of(*runs).use is (Use.IGNORED if ignored else Use.USED)


def candidates(use):
    steady = Candidate(trial=0, values=dict.fromkeys(SEEDS, 0.9), use=use)
    return [steady, Candidate(trial=1, values={42: 0.8, 43: 0.85, 44: 0.95})]


def test_ignored_seeds_rank_last():
    found = rank(candidates(Use.IGNORED), SEEDS, Rule(), "maximize")
    assert [row.candidate.trial for row in found.rows] == [1, 0]
    last = found.rows[1]
    assert (last.sigma, last.score, last.interval, last.rank) == (None, None, None, 2)
    assert [row.candidate.trial for row in found.under(Rule(name="min")).rows] == [1, 0]


def test_allowed_ignored_seeds_rank_by_score():
    found = rank(candidates(Use.IGNORED), SEEDS, Rule(), "maximize", allow_ignored=True)
    assert [row.candidate.trial for row in found.rows] == [0, 1]
    assert found.sound == (), "there is no confidence without a sigma"
    assert found.over((42, 43)).allow_ignored


def test_a_single_seed_ranks_by_value():
    pair = [Candidate(trial=trial, values={42: value}) for trial, value in enumerate((0.8, 0.9))]
    found = rank(pair, (42,), Rule(), "maximize")
    assert [(row.candidate.trial, row.sigma, row.score, row.order) for row in found.rows] == [
        (1, None, None, 0.9),
        (0, None, None, 0.8),
    ]
    assert found.under(Rule(name="mean")).rows[0].score == 0.9
