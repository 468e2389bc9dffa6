"""The report of a promotion in every format: terminal, JSON, CSV, Markdown, LaTeX."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from typer.testing import CliRunner

import hpo
from hpo import api
from hpo.api import PromotionReport
from hpo.cli.main import app
from hpo.core.errors import UsageError
from hpo.core.records import Evaluation, Job, Report, Stage, Status
from hpo.driver.storage import storage
from hpo.promotion.decide import PromotionDecision
from hpo.promotion.sentences import certainty_text
from hpo.stats.ranking import Candidate, rank
from hpo.stats.scoring import Rule

REFERENCE = {"accuracy": (0.676, 0.733, 0.679), "kappa": (0.697, 0.756, 0.710)}


@pytest.fixture(scope="module")
def promoted(curve, module_config):
    """A study with its promotion, and the arguments that name it on the command line."""
    study = curve(search={"trials": 8, "pruner": "none"})
    hpo.run(study, module_config)
    outcome = hpo.promote(study, module_config)
    file = study.root / "studies" / "curve.toml"
    return study, outcome, ["--study", str(file), "--storage", module_config.storage]


def test_reference_table_is_reproduced(curve):
    """Accuracy 0.696 +- 0.026, kappa 0.721 +- 0.025: sigma divides by n."""
    study = curve(objective={"metric": "kappa"})
    job = {"trial": 7, "params": {}, "budget": 1, "stage": Stage.PROMOTION}
    evaluations = [
        Evaluation(
            job=Job(seed=seed, **job),
            status=Status.COMPLETE,
            value=REFERENCE["kappa"][index],
            step=1,
            reports=(Report(step=1, metrics={name: values[index] for name, values in REFERENCE.items()}, at=0.0),),
        )
        for index, seed in enumerate((42, 43, 44))
    ]
    values = {one.job.seed: one.value for one in evaluations}
    ranking = rank([Candidate(trial=7, values=values)], (42, 43, 44), Rule(), "maximize")
    report = PromotionReport.of(study, PromotionDecision(ranking=ranking), evaluations)
    found = {row.metric: f"{row.mean:.3f} +- {row.sigma:.3f}" for row in report.metrics}
    assert found == {"accuracy": "0.696 +- 0.026", "kappa": "0.721 +- 0.025"}
    assert "| accuracy |    0.6760 |    0.7330 |    0.6790 | 0.6960 |  0.0262 |" in report.markdown()
    assert r"accuracy &    0.6760" in report.latex()


def test_all_formats_agree(promoted):
    _, outcome, _ = promoted
    folder, winner = outcome.folder, outcome.ranking.winner
    table = json.loads((folder / "promotion.json").read_text())
    assert table["rows"][0]["chance_of_being_best"] is None, "three seeds allow none"
    assert table["optimism"] == outcome.report.certainty.optimism
    assert len(table["pairs"]) == 3
    assert {row["metric"] for row in table["metrics"]} >= {"val"}
    values = list(winner.candidate.values.values())
    assert table["rows"][0]["variation_percent"] == pytest.approx(100 * np.std(values) / abs(np.mean(values)))
    for name in ("promotion.md", "promotion.tex"):
        text = (folder / name).read_text()
        assert f"{winner.mean:.4f}" in text
        assert f"{winner.score:.4f}" in text
    with (folder / "promotion.csv").open() as file:
        assert float(next(csv.DictReader(file))["score"]) == winner.score


@pytest.mark.parametrize("rule", ["mean-std", "mean", "min", "median", "lcb"])
def test_every_rule_ranks(promoted, rule):
    _, _, arguments = promoted
    done = CliRunner().invoke(app, ["rank", *arguments, "--rule", rule])
    assert done.exit_code == 0, done.output
    assert f"score: {Rule(name=rule).formula('maximize')} · n = 3" in done.stdout
    assert "It changes under:" in done.stdout or "It stays under:" in done.stdout
    assert "not decidable at n = 3" in done.stdout
    values = json.loads(CliRunner().invoke(app, ["rank", *arguments, "--rule", rule, "--json"]).stdout)
    scores = [row["score"] for row in values["candidates"]]
    assert scores == sorted(scores, reverse=True)
    assert rule not in values["winner_under"]


@pytest.mark.parametrize(("format_", "start"), [("csv", "rank,trial"), ("markdown", "## curve"), ("latex", "\\begin")])
def test_rank_prints_every_format(promoted, format_, start):
    _, outcome, arguments = promoted
    done = CliRunner().invoke(app, ["rank", *arguments, "--format", format_])
    assert done.stdout.startswith(start)
    file = {"csv": "promotion.csv", "markdown": "promotion.md", "latex": "promotion.tex"}[format_]
    assert done.stdout == (outcome.folder / file).read_text()


def test_rule_and_ddof_are_stored(promoted, restored_config):
    study, _, _ = promoted
    made = hpo.promote(study, restored_config, rule="lcb", ddof="unbiased")
    assert (made.trained, made.ranking.rule.name) == (0, "lcb")
    with storage(restored_config.storage, create=False) as (store, _):
        stored = store.promotion(store.find("curve"))
    assert (stored.rule, stored.ddof) == ("lcb", "unbiased")


def test_confirmation_trains_winner_only(promoted, restored_config):
    study, plain, _ = promoted
    made = hpo.promote(study, restored_config, confirm_seeds=[45, 46, 47])
    assert made.trained == 3
    assert [row.candidate for row in made.ranking.rows] == [row.candidate for row in plain.ranking.rows]
    assert made.results == plain.results
    confirmation = made.report.confirmation
    values = list(confirmation.values.values())
    assert list(confirmation.values) == [45, 46, 47]
    assert confirmation.mean == pytest.approx(np.mean(values))
    assert confirmation.sigma == pytest.approx(np.std(values))
    assert "Unbiased estimate of the winner, on held-out seeds (45: " in certainty_text(made.report)
    winner = made.ranking.winner.candidate.trial
    _, evaluations = api.show("curve", winner, restored_config)
    assert {one.job.seed: one.value for one in evaluations if one.job.seed > 44} == confirmation.values
    assert hpo.promote(study, restored_config, confirm_seeds=[45, 46, 47]).trained == 0
    table = json.loads((made.folder / "promotion.json").read_text())
    assert table["confirmation"]["mean"] == pytest.approx(confirmation.mean)


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ([42], "seed 42 is a seed of the promotion: the winner was chosen on it"),
        ([41], "seed 41 is a seed of the search"),
        ([45, 45], "seed 45 is given twice"),
        ([-1], "a seed must be 0 to"),
    ],
)
def test_bad_confirmation_seeds(curve, config, seeds, message):
    with pytest.raises(UsageError, match=message):
        hpo.promote(curve(), config, confirm_seeds=seeds)


def test_seed_option_takes_numbers(promoted):
    _, _, arguments = promoted
    done = CliRunner().invoke(app, ["promote", *arguments, "--confirm-seeds", "45,x"])
    assert done.exit_code == 2
    assert "expected whole numbers" in done.output


@pytest.mark.slow
def test_shared_search_seed_is_marked(curve, config):
    study = curve(search={"trials": 6, "pruner": "none", "seed": 42})
    hpo.run(study, config)
    outcome = hpo.promote(study, config)
    unseen = outcome.ranking.over([43, 44]).winner.candidate.trial
    assert f"Seed 42 was also a seed of the search; the winner without it is trial {unseen}." in certainty_text(
        outcome.report
    )
    table = json.loads((outcome.folder / "promotion.json").read_text())
    assert (table["seeds_seen_by_search"], table["winner_on_unseen_seeds"]) == ([42], unseen)
