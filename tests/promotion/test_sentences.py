"""The sentences under a promotion's table: one for each thing that used to mislead."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

import hpo
from hpo import api
from hpo.api import PromotionReport
from hpo.cli.main import app
from hpo.core.formatting import number
from hpo.core.records import Evaluation, Job, Report, Stage, Status
from hpo.promotion.decide import PromotionDecision
from hpo.promotion.report import Confirmation
from hpo.promotion.sentences import certainty_text
from hpo.promotion.shown import per_cent
from hpo.stats.ranking import Candidate, rank
from hpo.stats.scoring import Rule

SEEDS = (42, 43, 44)


@pytest.fixture
def said(curve):
    """Returns what is said of a table of values, a row for each trial, and of what the search had seen."""

    def text(table, search=None, seeds=SEEDS, direction="maximize", rule=None):
        study = curve(objective={"direction": direction}, promotion={"seeds": list(seeds)})
        candidates = [
            Candidate(
                trial=trial,
                values=dict(zip(seeds, values, strict=True)),
                search_value=search[trial] if search else None,
            )
            for trial, values in enumerate(table)
        ]
        return certainty_text(
            PromotionReport.of(study, PromotionDecision(ranking=rank(candidates, seeds, rule or Rule(), direction)), [])
        )

    return text


def test_no_probability_if_undecidable(said):
    text = said([(0.9, 0.91, 0.92), (0.7, 0.71, 0.72)])
    assert "Trial 0 against 1: better on 3 of 3 seeds, not decidable at n = 3; no P(best) below 6 seeds." in text
    assert "P(trial" not in text


def test_probability_from_six_seeds(said):
    draw = np.random.default_rng(1)
    text = said(draw.normal(0.5, 0.1, (2, 8)), seeds=range(42, 50))
    assert re.search(r"P\(trial \d is best\) about (\d+ %|[<>] [\d.]+ %)", text)
    assert "not decidable" not in text


@pytest.mark.parametrize(
    ("search", "direction", "sentence"),
    [
        ((0.6, 0.6), "maximize", "Optimism: search values lie 0.1000 above the candidates' means"),
        ((0.4, 0.4), "maximize", "No optimism: search values lie 0.1000 below the candidates' means"),
        ((0.6, 0.6), "minimize", "No optimism: search values lie 0.1000 above the candidates' means"),
        ((0.4, 0.4), "minimize", "Optimism: search values lie 0.1000 below the candidates' means"),
        ((0.5, 0.5), "maximize", "No optimism: search values equal the candidates' means on average"),
    ],
)
def test_optimism_direction_is_named(said, search, direction, sentence):
    text = said([(0.4, 0.5, 0.6), (0.4, 0.5, 0.6)], search, direction=direction)
    assert sentence in text
    line = next(line for line in text.splitlines() if "ptimism" in line)
    assert not re.search(r"-\.\d|-\d", line), line


def test_interval_ends_have_a_direction(said):
    text = said([(0.4, 0.5, 0.6), (0.4, 0.5, 0.6), (0.4, 0.5, 0.6)], (0.6, 0.5, 0.45))
    assert re.search(r"\(95 %: [\d.]+ below to [\d.]+ above\)", text), text


def test_tie_is_named(said):
    assert "Tied: trial 1 has exactly the same score" in said([(0.4, 0.5, 0.6), (0.4, 0.5, 0.6), (0.1, 0.2, 0.3)])


def test_margin_below_precision_is_reported(said):
    text = said([(0.5, 0.6, 0.7), (0.500002, 0.600002, 0.700002)])
    assert "Winner: trial 1" in text
    assert "It is ahead of trial 0 by 2e-06: less than the table shows." in text


def test_single_seed_has_no_sigma_or_score(said):
    text = said([(0.5,), (0.6,)], seeds=(42,))
    first = text.splitlines()[0]
    assert first.startswith(
        "Winner: trial 1, 0.6000 under seed 42 alone (sigma and mean - sigma are not defined at n = 1)"
    )


@pytest.mark.slow
def test_single_seed_shows_no_spread(curve, config):
    study = curve(search={"trials": 3}, promotion={"seeds": [42]})
    hpo.run(study, config)
    outcome = hpo.promote(study, config)
    row = outcome.report.rows()[0]
    assert (row["sigma"], row["score"], row["variation_percent"], row["interval_low"]) == (None, None, None, None)
    assert {one.sigma for one in outcome.report.metrics} == {None}
    assert "|       - |" in (outcome.folder / "promotion.md").read_text()
    page = api.write_report(study.name, config).read_text()
    assert 'id="sensitivity"' not in page[: page.index("</main>")]
    assert "no sigma at n = 1: candidates are ranked by their value" in page


@pytest.mark.slow
def test_later_trials_mark_promotion_as_old(curve, config):
    study = curve(search={"trials": 3, "pruner": "none"})
    hpo.run(study, config)
    hpo.promote(study, config)
    assert api.rank_stored(study, config).warnings == ()
    hpo.run(study, config, trials=5)
    sentence = "Not the newest: 2 trials completed after this promotion and are not part of it."
    assert api.rank_stored(study, config).warnings[0].startswith(sentence)
    assert api.status(study.name, config)[0].since == 2
    assert sentence in api.write_report(study.name, config).read_text()
    file = str(study.root / "studies" / "curve.toml")
    arguments = ["--study", file, "--storage", config.storage]
    assert sentence in CliRunner().invoke(app, ["rank", *arguments]).stdout.replace("\n", " ")
    assert "2 trials completed since" in CliRunner().invoke(app, ["status", "--storage", config.storage]).stdout
    assert "2 trials completed since" in CliRunner().invoke(app, ["show", *arguments, "0"]).stdout
    hpo.promote(study, config)
    assert api.rank_stored(study, config).warnings == (), "the same winner made again is as new as another"


def one_class(seed, epoch, step, values):
    """A replicate that was seen to put all cases into one class from an epoch on."""
    from hpo.core.records import Alert

    alert = Alert(kind="one-class-predictions", epoch=epoch, message=f"all 9 cases were put into class {seed}")
    reports = tuple(
        Report(step=number, metrics={"val": value}, at=0.0, alerts=(alert,) if number == epoch else ())
        for number, value in enumerate(values, 1)
    )
    job = Job(trial=0, params={}, seed=seed, budget=len(values), stage=Stage.PROMOTION)
    return Evaluation(job=job, status=Status.COMPLETE, value=values[step - 1], step=step, reports=reports)


def test_one_class_winner_is_reported_first(curve):
    study = curve()
    values = {42: 0.3, 43: 0.31, 44: 0.32}
    runs = [one_class(seed, 2, 1, (value, value, value)) for seed, value in values.items()]
    ranking = rank([Candidate(trial=0, values=values)], SEEDS, Rule(), "maximize")
    first = PromotionReport.of(study, PromotionDecision(ranking=ranking), runs).warnings[0]
    assert first.startswith(
        "Trial 0 ranks first but collapsed under every seed (seed 42: all 9 cases were put into class 42;"
    )
    recovered = [one_class(seed, 2, 3, (value, value, value + 0.5)) for seed, value in values.items()]
    assert PromotionReport.of(study, PromotionDecision(ranking=ranking), recovered).warnings == ()


def test_best_epoch_at_budget_is_reported(curve):
    study, values = curve(search={"budget": 3}), {42: 0.3, 43: 0.31, 44: 0.32}
    ranking = rank([Candidate(trial=0, values=values)], SEEDS, Rule(), "maximize")

    def text(step, reports=3):
        runs = [one_class(seed, 9, step, (value - 0.1, value, value)) for seed, value in values.items()]
        runs = [replace(one, reports=one.reports[-reports:]) for one in runs]
        return certainty_text(PromotionReport.of(study, PromotionDecision(ranking=ranking), runs))

    assert "The best epoch of trial 0 is the last of 3 under every seed: it may not have converged" in text(3)
    assert "best epoch" not in text(2)
    assert "best epoch" not in text(3, reports=1), "the last is the only one that was reported"


def test_confirmation_names_its_seed_count(curve):
    values = {42: 0.3, 43: 0.31, 44: 0.32}
    report = PromotionReport.of(
        curve(), PromotionDecision(ranking=rank([Candidate(trial=0, values=values)], SEEDS, Rule(), "maximize")), []
    )
    text = certainty_text(replace(report, confirmation=Confirmation.of({50: 0.5, 51: None, 52: 0.6}, Rule())))
    assert "over the 2 of 3 that completed" in text
    one = certainty_text(replace(report, confirmation=Confirmation.of({50: 0.5}, Rule())))
    assert "mean 0.5000; under the promotion's" in one, "a single value has no sigma"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0.0000"), (2.3e-07, "2.3e-07"), (-4e-05, "-4.0e-05"), (0.00005, "0.0001"), (0.5, "0.5000")],
)
def test_nonzero_is_not_printed_as_zero(value, shown):
    assert number(value) == shown


def test_small_spread_is_not_zero():
    assert [per_cent(value) for value in (None, 0.0, 0.01, 0.05, 3.21)] == ["-", "0.0", "< 0.1", "0.1", "3.2"]
