"""The seeds of one promotion: listed, generated, remarked on, refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

import hpo
from hpo import api
from hpo.cli.main import app
from hpo.core.errors import UsageError
from hpo.study import notes


def seeds_of(study, seeds):
    return api.with_seeds(study, api.PromotionOptions(seeds=seeds)).promotion.seeds


def test_generated_seeds_follow_from_the_study(curve):
    study = curve(search={"seed": 41})
    five, eight = seeds_of(study, "random:5"), seeds_of(study, "random:8")
    assert five == seeds_of(study, "random:5") == eight[:5]
    assert len({*eight}) == 8
    assert not {0, 1, 41} & {*eight}
    assert not {*five} & {*seeds_of(curve(search={"seed": 7}), "random:5")}
    assert len({*seeds_of(study, "random:1000")}) == 1000
    assert seeds_of(study, [5, 4]) == (5, 4)
    assert api.with_seeds(study, api.PromotionOptions()) is study


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ("random:0", "expected random:5, with 1 to 1000 seeds, got 'random:0'"),
        ("random:1001", "expected random:5, with 1 to 1000 seeds"),
        ("random", "expected random:5, with 1 to 1000 seeds, got 'random'"),
        ([42, 43, 42], "seed 42 is given twice; replicates must differ"),
        ([], "seeds is empty; give at least one"),
        ([-1], "a number in seeds"),
        (5, "a list of whole numbers, or 'random:5'"),
    ],
)
def test_seeds_that_cannot_be_used(seeds, message):
    with pytest.raises(UsageError) as caught:
        api.PromotionOptions(seeds=seeds)
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["random:0", "random:x", "42,x", "42,42"])
def test_the_command_refuses_them(text):
    done = CliRunner().invoke(app, ["promote", "--study", "curve", "--seeds", text])
    assert done.exit_code == 2 or isinstance(done.exception, UsageError)
    assert "Traceback" not in done.output


def test_too_few_seeds_for_the_rule(curve, config):
    with pytest.raises(UsageError, match="rule lcb with ddof 0 needs 2 seeds, not 1"):
        hpo.promote(curve(), config, seeds=[45], rule="lcb")


def test_zero_and_one_are_remarked_on(curve):
    [note] = [one for one in notes(curve(promotion={"seeds": (0, 1, 2)})) if one.key == "promotion.seeds"]
    assert note.message.startswith("0 and 1: allowed, but libraries use 0 and 1 as defaults")
    assert not [one for one in notes(curve()) if one.key == "promotion.seeds"]


@pytest.mark.slow
def test_listed_seeds_are_promoted(curve, config):
    study = curve(search={"trials": 2}, promotion={"top": 1})
    hpo.run(study, config)
    outcome = hpo.promote(study, config, seeds=[1, 45])
    assert [*outcome.ranking.rows[0].candidate.values] == [1, 45]
    assert len(outcome.results) == 2
    assert "Note: promotion.seeds: 1: allowed" in str(outcome)
    saved = json.loads((outcome.folder / "promotion.json").read_text())
    assert saved["seeds"] == [1, 45]
    assert hpo.promote(study, config, seeds=[1, 45]).trained == 0
    assert api.rank_stored(study, config).ranking.seeds == (1, 45)


@pytest.mark.slow
def test_rank_says_whose_the_folders_are(curve, config):
    study = curve(search={"trials": 6}, promotion={"top": 4})
    hpo.run(study, config)
    winner = hpo.promote(study, config, top=5, seeds=[42, 44]).report.winner.candidate.trial
    found = api.rank_stored(study, config, lambda_=5.0)
    assert (found.recorded_winner, found.winner.candidate.trial, found.warnings) == (winner, winner, ())
    other = replace(found, recorded_winner=5)  # sigma is the same for all candidates of this trainable
    assert other.warnings == (
        f"The results folders are of trial 5, which was promoted; ranked like this, the winner is trial {winner}. "
        "Its results are written by: hpo promote --study curve --lambda 5 --top 5 --seeds 42,44",
    )
