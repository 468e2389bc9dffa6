"""The comparison's own arithmetic, and one repetition of it whole."""

from __future__ import annotations

import json
import math
from itertools import product

import numpy as np
import pytest

from hpo.promotion.race import Plan
from hpo.search.split import NOISY, SMOOTH
from tests.bench.selection import methods
from tests.bench.selection.__main__ import _run
from tests.bench.selection.compare import OURS, allowed, by_table, repetition, searched, summary
from tests.bench.selection.live import Live
from tests.bench.selection.methods import Roles, Trace, curtailed, grid, plan_of, race, trace_of
from tests.bench.selection.promotion_only import promotion_only
from tests.bench.selection.tables import Table, named, unstable


@pytest.fixture(scope="module")
def table():
    return unstable()


def test_row_is_index_in_product(table):
    rows = list(product(*table.space.values()))
    for row in (0, 7, 400, len(rows) - 1):
        assert table.index(dict(zip(table.space, rows[row], strict=True))) == row


def test_loss_uses_unseen_seeds():
    scores = np.array([[1.0, 1.0, 0.0, 0.0], [0.5, 0.5, 0.5, 0.5], [0.4, 0.4, 0.6, 0.4]])
    many = Table("many", {"a": [0, 1, 2]}, scores, unseen=True)
    assert many.losses(2, [0, 1, 2, 3]) * many.unit == pytest.approx([0.5, 0.0, 0.1])
    few = Table("few", {"a": [0, 1, 2]}, scores, unseen=False)
    assert few.losses(2, [0, 1, 2, 3]).argmin() == 1


def test_failing_counts_as_the_worst():
    scores = np.array([[0.9, 0.9, 0.9, np.nan], [0.5, 0.5, 0.5, 0.5], [0.4, 0.4, 0.4, 0.4], [np.nan] * 4])
    many = Table("many", {"a": [0, 1, 2, 3]}, scores, unseen=True)
    assert many.losses(2, [0, 1, 2, 3]) * many.unit == pytest.approx([0.1, 0.0, 0.1, 0.1])
    assert (many.losses(2, [2, 3, 0, 1]) * many.unit)[:2] == pytest.approx([0.0, 0.4])


def test_failed_trainings_cost_each_time():
    trace = Trace((5, 6, 6, 7, 5), (1.0, math.nan, math.nan, 3.0, 1.0))
    assert trace.first(3, recorded=True).rows == (5, 6, 6)
    assert trace.first(4, recorded=True).rows == (5, 6, 6, 7, 5)
    assert trace.best(3) == [7, 5]
    assert Trace((4, 3), (math.nan, math.nan)).best(3) == [4]


def test_race_over_holes():
    scores = np.full((3, 14), np.nan)
    table = Table("holes", {"a": [0, 1, 2]}, scores, unseen=True)
    assert race(table, Roles(range(14)), [2, 1], Plan((1, 2), (2, 1))).row == 2  # all fail: the search's best
    scores[1] = 0.5
    assert race(table, Roles(range(14)), [2, 1], Plan((1, 2), (2, 1))).row == 1


@pytest.mark.parametrize("name", ["drawn holes", "drawn few"])
def test_every_method_meets_holes(name):
    rows = repetition(name, 1, 36)
    assert {row["method"] for row in rows} >= {OURS, "Optuna TPE, best_trial", "tpe, grid"}
    assert all(0 < row["trainings"] <= 40 and math.isfinite(row["loss"]) for row in rows)  # failures are tried again
    json.loads(json.dumps(rows, allow_nan=False))


def test_table_in_a_file(tmp_path):
    np.savez(tmp_path / "t.npz", scores=unstable().scores, space=json.dumps(unstable().space))
    read = named(f"file {tmp_path / 't.npz'}")
    assert read.unseen
    assert np.array_equal(read.scores, unstable().scores)
    np.savez(tmp_path / "bad.npz", scores=unstable().scores[:5], space=json.dumps(unstable().space))
    with pytest.raises(ValueError, match=r"expected scores of 1728 configurations .* got an array of \(5, 40\)"):
        named(f"file {tmp_path / 'bad.npz'}")
    with pytest.raises(ValueError, match="expected arrays named scores and space"):
        named(f"file {tmp_path / 'none.npz'}")


def test_no_repetition_begins_after_the_end(tmp_path):
    known = {}
    wanted = [("drawn few", number, 12) for number in range(40)]
    _run(repetition, wanted, known, tmp_path / "rows.jsonl", until=-math.inf)
    assert 0 < len(known) < 20


def test_trace_ends_at_the_budget():
    trace = Trace((5, 6, 5, 7, 6, 8), (1.0, 2.0, 1.0, 3.0, 2.0, 0.0))
    assert trace.first(3, recorded=False).rows == (5, 6, 5)
    assert trace.first(3, recorded=True).rows == (5, 6, 5, 7, 6)
    assert trace.best(2) == [7, 6]


def test_promotion_matches_plain_numpy(table):
    for number in range(20):
        order = [int(seed) for seed in np.random.default_rng(number).permutation(40)]
        rows = [int(row) for row in np.random.default_rng(number).permutation(len(table.scores))[:8]]
        seen = table.scores[np.ix_(rows, order[1:4])]
        best = rows[int(np.argmax(seen.mean(axis=1) - seen.std(axis=1)))]
        assert grid(table, Roles(order), rows).row == best
        short = curtailed(table, Roles(order), rows)
        assert short.row == best
        assert short.trainings < 24
        raced = race(table, Roles(order), rows, Plan((3,), (8,)))
        assert (raced.row, raced.trainings) == (best, 24)


def test_search_stops_at_the_budget(table):
    roles = Roles(range(40))
    trace = trace_of(table, "tpe", 15, roles, 3)
    assert len(set(trace.rows)) == 15
    assert trace == trace_of(table, "tpe", 15, roles, 3)
    assert trace.values[4] == table.scores[trace.rows[4], 0]


def test_recipe_splits_as_the_command_does(table):
    roles = Roles(range(40))
    shares = [trace_of(table, "random", 50, roles, 3, total=total).share for total in (49, 60, 76)]
    assert [shares[0], shares[2]] == [None, None]
    assert shares[1] in (SMOOTH, NOISY)
    assert plan_of(60, 12, NOISY) == Plan((1, 2, 4), (12, 6, 4))
    assert plan_of(60, 12, SMOOTH) == Plan((1, 2, 4), (5, 2, 2))


def test_race_ends_at_visible_seeds():
    assert plan_of(120, 3) == Plan((1, 2, 3), (16, 8, 5))
    assert plan_of(120, 12) == Plan.for_trainings(120)
    assert plan_of(60, 3) == Plan((1, 2, 3), (8, 4, 2))


def test_lag_delays_what_a_search_knows(table):
    roles = Roles(range(40))
    one, four = (trace_of(table, "tpe", 15, roles, 3, lag=lag).rows for lag in (1, 4))
    assert len(set(four)) == 15
    assert one[:10] == four[:10]  # drawn at random
    assert one != four


def test_live_networks_learn():
    problem = Live("live friedman")
    space = {"dropout": 0.0, "weight_decay": 1e-6, "width": 16, "depth": 1}
    good = problem.index({"optimizer": "adam", "lr": 0.05, "beta1": 0.9, "beta2": 0.99, **space})
    poor = problem.index({"optimizer": "sgd", "lr": 1e-4, "momentum": 0.0, **space})
    assert good == problem.index(problem._rows[good])
    assert problem.value(good, 3) > 0.4 > problem.value(poor, 3)
    assert problem.values(good, [3, 4])[0] == pytest.approx(problem.value(good, 3), abs=1e-5)
    assert problem.loss(good, 13, range(40)) < problem.loss(poor, 13, range(40))


def test_own_searches_of_any_sampler():
    [row] = searched("drawn unstable", 0, 30, "random", 4)
    assert row["method"] == "random, records, race, lag 4"
    assert row["trainings"] <= 30


@pytest.mark.slow
def test_methods_stay_within_the_budget(monkeypatch, table):
    monkeypatch.setattr("tests.bench.selection.compare._table", lambda _: table)
    rows = repetition("drawn unstable", 0, 60)
    assert {row["method"] for row in rows} >= {OURS, "Optuna TPE, best_trial", "tpe, grid"}
    assert all(0 < row["trainings"] <= 60 for row in rows)
    assert all(row["loss"] >= 0 for row in rows)
    assert allowed(table) == len(methods.SEEDS)
    heads, *cells = by_table(rows)
    assert heads == ["method", "unstable"]
    assert len(cells) == len(rows) == len(summary(rows))


def test_wins_are_counted_against_the_recipe():
    rows = [
        {"method": method, "table": "t", "repetition": number, "loss": loss, "trainings": 9}
        for method, losses in ((OURS, (0.0, 1.0, 1.0)), ("other", (20.0, 1.0, 0.5)))
        for number, loss in enumerate(losses)
    ]
    [_, other] = summary(rows)
    assert other[2].startswith("3.83")  # (10 + 1 + .5) / 3: a loss counts as ten at most
    assert other[4] == "20.0"
    assert other[6] == "1/1/1"


@pytest.mark.slow
def test_promotions_share_candidates(monkeypatch, table):
    monkeypatch.setattr("tests.bench.selection.promotion_only.ORDERS", 20)
    heads, rows = promotion_only(table)
    assert heads[0] == "promotion"
    named = {row[0]: row for row in rows}
    assert named["grid, 3 seeds"][1:3] == named["curtailed, 3 seeds"][1:3]
    assert float(named["curtailed, 3 seeds"][3]) < 30 == float(named["grid, 3 seeds"][3])
