"""Promotions with several objectives: fronts over seeds, the preferred candidate, and what is written of them."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hpo
from hpo import api
from hpo.core.errors import UsageError
from hpo.core.records import Evaluation, Job, Objective, Report, Status
from hpo.promotion.fronts import preference_order
from hpo.stats.collapse import collapse_of
from hpo.study.preference import PreferTable

TWO = Objective(metric="acc", others=(("size", "minimize"),))
NUMBER = st.integers(0, 9).map(float)


def order(scores, objective=TWO, **preference):
    return preference_order(scores, objective, PreferTable(**preference))


def test_the_knee_is_nearest_to_the_ideal():
    scores = [(0.9, 100.0), (0.88, 20.0), (0.5, 10.0), (0.4, 90.0)]
    assert order(scores)[0] == 1
    assert order(scores)[-1] == 3  # dominated


def test_weights_move_the_winner():
    scores = [(0.9, 100.0), (0.88, 20.0), (0.5, 10.0)]
    assert order(scores, weights={"acc": 1.0, "size": 0.0})[0] == 0
    assert order(scores, weights={"acc": 0.0, "size": 1.0})[0] == 2
    assert order(scores, weights={"acc": 3.0, "size": 3.0})[0] == 1


def test_a_bound_leaves_the_best_of_the_rest():
    scores = [(0.9, 100.0), (0.88, 20.0), (0.5, 10.0)]
    assert order(scores, where=("size <= 50",))[0] == 1
    assert order(scores, where=("size <= 15",))[0] == 2
    assert order(scores, where=("acc >= 0.85",)) == [1, 0, 2]


def test_equal_points_keep_their_order():
    assert order([(0.5, 1.0), (0.5, 1.0)]) == [0, 1]
    assert order([]) == []


@given(st.lists(st.tuples(NUMBER, NUMBER), min_size=1, max_size=7), st.integers(1, 5), st.integers(1, 5))
def test_the_preferred_one_is_never_dominated(scores, first, second):
    for preference in ({}, {"weights": {"acc": first, "size": second}}, {"where": ("size <= 4",)}):
        best = scores[order(scores, **preference)[0]]
        assert not any(a >= best[0] and b <= best[1] and (a, b) != best for a, b in scores)


METRICS = {"metrics": {"val": "maximize", "loss": "maximize"}, "metric": "val"}
PROMOTION = {"seeds": [42, 43, 44], "top": 4, "ddof": 0, "lambda": 1.0}


@pytest.fixture(scope="module")
def two(curve):
    """Returns the toy study with two objectives, what one has more of the other has less of, and a preference."""

    def made(**promotion):
        search = {"pruner": "none", "sampler": "random", "trials": 5}
        return curve(name="two", objective=METRICS, search=search, promotion={**PROMOTION, **promotion})

    return made


@pytest.fixture(scope="module")
def promoted(two, module_config):
    """A promotion of four of five trials."""
    hpo.run(two(), module_config)
    return hpo.promote(two(), module_config)


def vectors_of(study, trial, config):
    found = [one for one in hpo.show(study, trial, config)[1] if str(one.job.stage) == "promotion"]
    return {one.job.seed: (one.metrics["val"], one.metrics["loss"]) for one in found}


def test_the_repr_names_front_and_winner(promoted):
    report = promoted.report
    said = f"front of {len(report.front)} of 4 candidates, winner trial {report.best.trial}>"
    assert repr(promoted).endswith(said)
    assert repr(report).endswith(said)


def test_axes_of_a_front_have_labels(promoted):
    study = promoted.study
    named = study.objective_.model_copy(update={"label": {"val": "Kappa"}})
    report = replace(promoted.report, study=study.model_copy(update={"objective_": named}))
    layout = report.plot().layout
    assert (layout.xaxis.title.text, layout.yaxis.title.text) == ("Kappa (maximize)", "loss (maximize)")


def test_rows_have_the_vectors_of_every_seed(promoted, two, module_config):
    for row in promoted.rows():
        vectors = vectors_of(two(), row["trial"], module_config)
        for place, metric in enumerate(("val", "loss")):
            values = [vectors[seed][place] for seed in (42, 43, 44)]
            assert [row[f"{metric}_seed_{seed}"] for seed in (42, 43, 44)] == values
            assert row[f"{metric}_mean"] == pytest.approx(np.mean(values))
            assert row[f"{metric}_sigma"] == pytest.approx(np.std(values))
            assert row[f"{metric}_score"] == pytest.approx(np.mean(values) - np.std(values))


def test_the_front_is_that_of_the_scores(promoted):
    rows = promoted.rows()
    scores = {row["trial"]: (row["val_score"], row["loss_score"]) for row in rows}
    front = {
        trial
        for trial, (a, b) in scores.items()
        if not any(c >= a and d >= b and (c, d) != (a, b) for c, d in scores.values())
    }
    assert {row["trial"] for row in rows if row["front"] == 1} == front
    assert promoted.report.plain()["front"] == [row["trial"] for row in rows if row["front"] == 1]
    assert promoted.report.winner.candidate.trial in front
    assert sum(row["chosen"] for row in rows) == pytest.approx(1.0)
    assert promoted.ranking.ties == ()


def test_nothing_of_one_value_is_claimed(promoted):
    plain = promoted.report.plain()
    assert not {"optimism", "pairs", "tied", "confirmation"} & set(plain)
    assert (plain["objective"], plain["direction"]) == ("val, loss", "maximize, maximize")
    assert all("mean" not in row and "score" not in row and "search_value" not in row for row in promoted.rows())


def test_what_is_written(promoted):
    head = json.loads((promoted.folder / "promotion.json").read_text())
    assert head["objectives"] == {"val": "maximize", "loss": "maximize"}
    assert 0 <= head["hypervolume_interval"][0] <= head["hypervolume_interval"][1] <= 1
    assert (head["resamples"], head["resampling_seed"], head["preference"]) == (1000, 0, "knee")
    with (promoted.folder / "promotion.csv").open() as file:
        first = next(csv.DictReader(file))
    assert int(first["trial"]) == head["winner"] == promoted.report.winner.candidate.trial
    assert float(first["loss_seed_43"]) == head["rows"][0]["loss_seed_43"]
    summary = json.loads((promoted.results[0] / "summary.json").read_text())["hpo"]
    assert summary["objectives"]["loss"]["mean"] == pytest.approx(head["rows"][0]["loss_mean"])
    assert summary["score"] is None
    assert " front |" in (promoted.folder / "promotion.md").read_text()
    assert r"\toprule" in (promoted.folder / "promotion.tex").read_text()
    assert "front of the scores" in (promoted.folder / "promotion.html").read_text()


def test_what_is_said(promoted):
    text = str(promoted)
    winner = promoted.report.winner.candidate.trial
    assert f"Winner: trial {winner}, the knee of the front: val 0." in text
    assert "of 1000 resamples of the 3 seeds (seed 0)" in text
    assert "With 3 seeds, fewer than 6, these shares and the interval look too certain" in text
    assert "Hypervolume of the front: 0." in text
    assert "score: mean - sigma of val, mean - sigma of loss" in text
    assert "the best epoch by val" in text


def test_promoting_again_trains_nothing(promoted, two, module_config):
    again = hpo.promote(two(), module_config)
    assert again.trained == 0
    assert again.rows() == promoted.rows()
    assert [path.name for path in again.results] == [path.name for path in promoted.results]


def test_ranked_again_by_another_rule(promoted, two, module_config):
    found = api.rank_stored(two(), module_config, rule="mean")
    assert {row["trial"] for row in found.rows()} == {row["trial"] for row in promoted.rows()}
    assert all(row["val_score"] == row["val_mean"] for row in found.rows())
    assert found.score_text == "mean of val, mean of loss"


def test_winners_under_other_rules(promoted, two, module_config):
    found = promoted.report.plain()["winner_under"]
    assert found.keys() == {"ddof 1", "ddof unbiased", "mean", "min", "median", "lcb"}
    for name in ("mean", "min", "median", "lcb"):
        assert api.rank_stored(two(), module_config, rule=name, ddof=0).winner.candidate.trial == found[name]
    assert api.rank_stored(two(), module_config, ddof=1).winner.candidate.trial == found["ddof 1"]
    assert promoted.report.certainty.changes_text in str(promoted)


def test_another_preference_says_so(promoted, two, module_config):
    ends = {name: max(promoted.rows(), key=lambda row, at=name: row[f"{at}_score"]) for name in ("val", "loss")}
    winner = promoted.report.winner.candidate.trial
    name = next(name for name, row in ends.items() if row["trial"] != winner)
    weights = {"val": 0.0, "loss": 0.0} | {name: 1.0}
    found = api.rank_stored(two(prefer={"weights": weights}), module_config)
    assert found.winner.candidate.trial == ends[name]["trial"]
    assert f"The results folders are of trial {winner}, which was promoted" in found.warnings[-1]


def test_no_candidate_keeps_the_bound(promoted, two, module_config):
    found = api.rank_stored(two(prefer="val >= 7"), module_config)
    best = max(row["val_score"] for row in promoted.rows())
    assert found.winner is None
    assert not found.is_decided
    assert "No winner: no candidate's scores keep val >= 7. The best score of val is" in str(found)
    assert f"{best:.4f}"[:5] in str(found)


@pytest.mark.slow
def test_nothing_is_written_without_a_winner(two, config):
    hpo.run(two(), config)
    outcome = hpo.promote(two(prefer="val >= 7"), config)
    assert outcome.results == ()
    assert "Nothing was written" in str(outcome)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"race": True}, "a race"),
        ({"curtail": True}, "--curtail"),
        ({"confirm_seeds": [7]}, "--confirm-seeds"),
        ({"source": "sqlite:///x.db"}, "hpo promote --from"),
    ],
)
def test_options_of_one_objective(two, config, options, what):
    with pytest.raises(UsageError, match=f"^{what} compares trials by one value, but study 'two' has 2 objectives"):
        hpo.promote(two(), config, **options)


@pytest.mark.slow
def test_a_single_seed(two, config):
    hpo.run(two(), config)
    outcome = hpo.promote(two(seeds=[42]), config)
    assert outcome.report.best.on_front is None
    assert "resamples" not in str(outcome)
    assert outcome.report.best.sigmas == (None, None)


def test_a_constant_size_is_no_collapse():
    reports = tuple(Report(step=step, metrics={"size": 7.0, "acc": step / 9}, at=0.0) for step in range(1, 5))
    job = Job(trial=0, params={}, seed=42, budget=4)
    one = Evaluation(job=job, status=Status.COMPLETE, value=7.0, step=1, reports=reports)
    alone = Objective(metric="size", direction="minimize")
    assert collapse_of(one, alone) == "size is 7 in every epoch"
    assert collapse_of(one, replace(alone, others=(("acc", "maximize"),))) is None
