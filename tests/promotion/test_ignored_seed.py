"""A trainable that ignores its seed: said wherever a promotion is read, never called sure, and no success."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import optuna
import pytest
from typer.testing import CliRunner

import hpo
from hpo import api
from hpo.cli import tables
from hpo.cli.main import app
from hpo.promotion.sentences import certainty_text
from hpo.search.shown import search_text

WORDS = "bit-identical under seeds 42 43 44"


@pytest.fixture(scope="module")
def heedless(curve):
    def made(seeds, **changes):
        return curve(
            name="heedless",
            trainable="toys.heedless:train",
            space={"x": {"float": [0.0, 1.0]}},
            fixed={"seeds": seeds},
            search={"trials": 3, "budget": 2, "pruner": "none", **changes.pop("search", {})},
            **changes,
        )

    return made


def promoted(study, config, **options):
    hpo.run(study, config)
    return hpo.promote(study, config, **options)


@pytest.fixture(scope="module")
def ignored(heedless, module_config):
    """The promotion of a study that ignores its seed."""
    return promoted(heedless("ignored"), module_config)


@pytest.fixture(scope="module")
def arguments(module_config):
    """The options that name that study on the command line."""
    file = Path(__file__).parents[1] / "project" / "studies" / "heedless.toml"
    return ["--study", str(file), "--storage", module_config.storage]


def test_promotion_files_warn(ignored):
    folder = ignored.folder
    for name in ("promotion.json", "promotion.md", "promotion.tex", "promotion.html"):
        assert WORDS in (folder / name).read_text().replace("<br>", " ").replace("</sub> <sub>", " "), name
    table = json.loads((folder / "promotion.json").read_text())
    assert (table["winner_is_decided"], table["seeds_ignored"], table["ignored_seed_allowed"]) == (
        False,
        [0, 1, 2],
        False,
    )
    with (folder / "promotion.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["seeds"], row["sigma"], row["score"], row["variation_percent"]) for row in rows} == {
        ("ignored", "", "", "")
    }
    summary = json.loads((ignored.results[0] / "summary.json").read_text())["hpo"]
    assert (summary["seed_use"], summary["is_decided"], summary["sigma"], summary["score"]) == (
        "ignored",
        False,
        None,
        None,
    )
    assert WORDS in summary["warnings"][0]


@pytest.mark.slow
def test_nothing_is_said_to_be_sure(heedless, config):
    outcome = promoted(heedless("ignored", promotion={"seeds": list(range(42, 48))}), config)
    sure = outcome.report.certainty
    assert (sure.chances, sure.pairs, sure.optimism) == ({}, (), None)
    text = certainty_text(outcome.report)
    assert text.startswith("Ranked first, but no winner: trial ")
    assert "P(" not in text
    assert "Winner" not in text


@pytest.mark.usefixtures("ignored")
@pytest.mark.parametrize("allow", [False, True])
def test_command_exits_1_unless_allowed(arguments, restored_config, allow):
    extra = ["--outputs", str(restored_config.outputs), *["--allow-ignored-seed"] * allow]
    done = CliRunner().invoke(app, ["run", *arguments, "--backend", "local", "--promote", *extra])
    assert done.exit_code == (0 if allow else 1), done.output
    assert ("--allow-ignored-seed accepts it" in done.stdout) is not allow
    lines = done.stdout.splitlines()
    table = next(number for number, line in enumerate(lines) if line.startswith("rank"))
    assert any(WORDS in line for line in lines[:table]), "above the table"
    ranked = CliRunner().invoke(app, ["rank", *arguments])
    assert ranked.exit_code == 0
    assert ("as --allow-ignored-seed allows" in ranked.stdout) is allow, "it is recorded"


@pytest.mark.usefixtures("ignored")
def test_pages_and_report_warn_first(restored_config):
    page = api.write_report("heedless", restored_config).read_text()
    body = page[page.index("<main") :]
    assert WORDS in body
    assert body.index(WORDS) < body.index('id="leaderboard"')
    assert "★ winner" not in body
    assert "seed ignored" in body


@pytest.mark.slow
def test_ignoring_candidate_ranks_last(heedless, config):
    outcome = promoted(
        heedless("in-bad-trials", search={"trials": 6, "sampler": "random"}, promotion={"top": 6}), config
    )
    trials = {row.candidate.trial: row.candidate for row in outcome.ranking.rows}
    ignored = set(json.loads((outcome.folder / "promotion.json").read_text())["seeds_ignored"])
    assert ignored
    assert len(ignored) < len(trials)
    behind = [row.candidate.trial in ignored for row in outcome.ranking.rows]
    assert behind == sorted(behind)
    assert outcome.report.is_decided
    assert any("ranked behind the others" in one for one in outcome.report.warnings)


@pytest.mark.slow
def test_seeds_with_same_bits_are_named(heedless, config):
    outcome = promoted(heedless("halved"), config)
    assert any("ignored in part" in one and "under seeds 42 43" in one for one in outcome.report.warnings)


@pytest.mark.slow
def test_used_seed_has_no_warning(heedless, config):
    outcome = promoted(heedless("used"), config)
    assert outcome.report.warnings == ()
    assert {row.sigma is None for row in outcome.ranking.rows} == {False}


@pytest.mark.slow
def test_single_constant_value_is_ambiguous(heedless, config):
    outcome = promoted(heedless("constant"), config)
    report = outcome.report
    assert report.warnings[0].startswith("Cannot tell whether the seed is used: ")
    assert report.warnings[1].startswith("No winner is decided: ")
    assert not outcome.ignores_seeds
    assert certainty_text(report).startswith("Ranked first, but no winner: ")


@pytest.mark.slow
def test_constant_winner_is_reported_first(heedless, config):
    outcome = promoted(heedless("flat", search={"budget": 3}), config)
    first = outcome.report.warnings[0]
    assert first.startswith(
        f"Trial {outcome.ranking.winner.candidate.trial} ranks first but collapsed under every seed"
    )
    assert "in every epoch" in first


@pytest.mark.usefixtures("ignored")
def test_dashboard_note_warns(module_config):
    found = optuna.load_study(study_name="heedless", storage=module_config.storage)
    attributes = found._storage.get_study_system_attrs(found._study_id)
    notes = " ".join(str(value) for name, value in attributes.items() if "note" in name)
    assert "NO WINNER IS DECIDED" in notes
    assert WORDS in notes
    assert "PROMOTED" not in notes


def test_replicated_search_warns(heedless, config):
    replicated = {"seeding": "replicated", "replicates": 2}
    outcome = hpo.run(heedless("ignored", search=replicated), config)
    assert outcome.warnings[0].startswith("The seed is ignored: the replicates of every candidate are bit-identical")
    assert search_text(outcome, promotes=False).startswith("! The seed is ignored: ")
    assert tables.search_values(outcome)["warnings"] == list(outcome.warnings)


def test_differing_replicates_do_not_warn(heedless, config):
    assert hpo.run(heedless("used", search={"seeding": "replicated", "replicates": 2}), config).warnings == ()


@pytest.mark.usefixtures("ignored")
def test_diagnose_and_compare_warn(arguments, restored_config):
    for command in (["diagnose", "--trial", "0", "--outputs", str(restored_config.outputs)], ["compare", "0", "1"]):
        done = CliRunner().invoke(app, [command[0], *command[1:], *arguments])
        assert done.exit_code == 0, done.output
        told = " ".join(done.stdout.split())
        assert ("! The seed is ignored: the replicates of trial 0" if command[0] == "diagnose" else "ignored?") in told
        assert "?." not in told
