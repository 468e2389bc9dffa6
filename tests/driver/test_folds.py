"""Cross-validated studies: searched, promoted, interrupted and shown."""

from __future__ import annotations

import csv
import json
import shutil
import threading
from dataclasses import replace

import numpy as np
import pytest

import hpo
from hpo import api
from hpo.cli.tables import trial_text
from hpo.core.records import Objective, Stage
from hpo.promotion.select import race_plan
from hpo.promotion.shown import ranking_table
from hpo.store import Store


@pytest.fixture(scope="module")
def study(curve):
    def made(folds=3, repeats=1, **changes):
        search = {"trials": 10, "budget": 2, "pruner_options": {"n_startup_trials": 3}, **changes.pop("search", {})}
        return curve(
            name="folds",
            trainable="toys.folds:train",
            space={"x": {"float": [0.0, 1.0]}},
            search=search,
            promotion={"top": 2},
            validation={"folds": folds, "repeats": repeats},
            **changes,
        )

    return made


def table(outcome):
    return [(one.number, one.state, one.value, one.params) for one in outcome.trials]


def stored(config, stage):
    store = Store(config.storage, create=False)
    found = store.evaluations(store.find("folds"), stage)
    store.close()
    return found


class Stopping(hpo.Observer):
    """Sets a stop after so many trainings."""

    def __init__(self, after):
        self.stop, self.after, self.total, self.count = threading.Event(), after, None, 0

    def begins(self, total, done):
        self.total = total

    def told(self, evaluation):
        self.count += 1
        if self.count >= self.after:
            self.stop.set()


@pytest.mark.slow
def test_trial_value_is_the_mean_over_folds(study, config):
    outcome = hpo.run(study(), config)
    assert outcome.count("pruned") > 0
    folds = stored(config, Stage.SEARCH)
    for trial in outcome.trials:
        values = [one.value for one in folds if one.job.trial == trial.number]
        assert trial.value == pytest.approx(np.mean(values))
        if trial.state == "complete":
            assert len(values) == 3
    pruned = [one.number for one in outcome.trials if one.state == "pruned"]
    assert any(sum(one.job.trial == number for one in folds) < 3 for number in pruned)


@pytest.mark.slow
@pytest.mark.parametrize("pruner", ["none", "median"])
def test_interrupted_search_has_same_table(study, config, tmp_path, pruner):
    made = study(search={"pruner": pruner, "pruner_options": {}})
    whole = hpo.run(made, replace(config, storage=f"sqlite:///{tmp_path / 'whole.db'}"))
    for after in (1, 4, 2):
        stopping = Stopping(after)
        assert hpo.run(made, config, observers=[stopping], stop=stopping.stop).stopped
        assert stopping.total == 30
    assert table(hpo.run(made, config)) == table(whole)


@pytest.mark.slow
def test_workers_match_local_backend(study, config, tmp_path, on_workers):
    made = study(fixed={"nap": 0.1})
    looped = hpo.run(made, config)
    there = replace(
        config,
        storage=f"sqlite:///{tmp_path / 'there.db'}",
        outputs=tmp_path / "there",
        **{**on_workers, "concurrency": 4},
    )
    assert table(hpo.run(made, there)) == table(looped)
    first, second = (hpo.promote(made, where).report.plain() for where in (config, there))
    assert first["estimate"].pop("block") != second["estimate"].pop("block"), "the id of each study is part of it"
    assert first == second


def test_same_params_reuse_every_fold(study, config):
    made = study(search={"trials": 6, "sampler": "random", "pruner": "none", "pruner_options": {}})
    made = made.model_validate(made.content() | {"space": {"x": {"choice": (0.25, 0.5)}}}).located(made.root)
    outcome = hpo.run(made, config)
    assert outcome.repeats == 4
    folds = stored(config, Stage.SEARCH)
    assert sum(one.remarks == () for one in folds) == 6
    for trial in outcome.trials:
        assert len([one for one in folds if one.job.trial == trial.number]) == 3
    assert len({one.value for one in outcome.trials}) == 2


@pytest.mark.parametrize("seeding", ["per-trial", "replicated"])
def test_folds_work_with_every_seeding(study, config, seeding):
    search = {"trials": 2, "seeding": seeding, "replicates": 2, "pruner": "none", "pruner_options": {}}
    outcome = hpo.run(study(search=search), config)
    folds = stored(config, Stage.SEARCH)
    for trial in outcome.trials:
        own = [one.value for one in folds if one.job.trial == trial.number]
        assert len(own) == (6 if seeding == "replicated" else 3)
        assert trial.value == pytest.approx(np.mean(own))


def test_failed_fold_fails_its_trial(study, config):
    made = study(fixed={"broken": 1}, search={"trials": 1})
    [trial] = hpo.run(made, config).trials
    assert trial.state == "failed"
    assert "in fold 2: " in trial.error
    assert "the user's own mistake" in trial.error
    assert [one.job.fold for one in stored(config, Stage.SEARCH)] == [1, 2]


@pytest.fixture(scope="module")
def promoted(study, module_config):
    made = study(2, 2, search={"trials": 4})
    hpo.run(made, module_config)
    return made, hpo.promote(made, module_config)


def test_promotion_ranks_means_over_folds(promoted, module_config):
    made, outcome = promoted
    assert outcome.trained == 24
    for row in outcome.ranking.rows:
        folds = [one for one in stored(module_config, Stage.PROMOTION) if one.job.trial == row.candidate.trial]
        values = {seed: [one.value for one in folds if one.job.seed == seed] for seed in (42, 43, 44)}
        assert all(len(own) == 4 for own in values.values())
        assert row.candidate.values == {seed: pytest.approx(np.mean(own)) for seed, own in values.items()}
        assert row.sigma == pytest.approx(np.std([np.mean(own) for own in values.values()]))
        within = np.sqrt(np.mean([np.var(own, ddof=1) for own in values.values()]))
        assert outcome.report.folds[row.candidate.trial].sigma == pytest.approx(within)
    text = shown(ranking_table(outcome.report))
    assert "fold sd" in text
    assert "a seed's value is the mean over 2 folds x 2" in text
    with (outcome.folder / "promotion.csv").open() as file:
        first = next(csv.DictReader(file))
    assert float(first["fold_sigma"]) == outcome.report.folds[int(first["trial"])].sigma
    saved = json.loads((outcome.folder / "promotion.json").read_text())
    assert saved["validation"] == {"folds": 2, "repeats": 2}
    assert len(saved["folds"][first["trial"]]["seed_42"]) == 4
    again = api.rank_stored(made, module_config)
    assert (again.folds, again.metrics) == (outcome.report.folds, outcome.report.metrics)


def test_promotion_views_name_the_folds(promoted, module_config, tmp_path):
    made, outcome = promoted
    for name in ("promotion.md", "promotion.tex"):
        assert "each of its metrics, is the mean over 2 folds x 2." in (outcome.folder / name).read_text()
    page = api.write_report(made.name, module_config, out=tmp_path / "report.html").read_text()
    assert "the value of a seed is the mean over 2 folds x 2" in page
    assert "the pooled predictions of all folds" in page
    api.assets(made, module_config, out=tmp_path / "assets")
    text = (tmp_path / "assets" / "folds_text.tex").read_text()
    assert "Each seed was cross-validated over 4 folds. Values are of the pooled predictions of all folds" in text
    assert r"which is another number (cv\_summary.json, promotion.csv)" in text
    assert "Values are of the validation cases at the selected epoch" not in text


def test_results_hold_every_fold(promoted):
    _, outcome = promoted
    assert [path.name for path in outcome.results] == ["results_7", "results_8", "results_9"]
    for path, seed in zip(outcome.results, (42, 43, 44), strict=True):
        names = [f"fold_{fold}" for fold in range(1, 5)]
        assert sorted(one.name for one in path.iterdir() if one.name.startswith("fold_")) == names
        below = [json.loads((path / name / "summary.json").read_text()) for name in names]
        found = json.loads((path / "cv_summary.json").read_text())
        values = [one["best_metric"] for one in below]
        assert found["metrics"]["val"] == {
            "mean": pytest.approx(np.mean(values)),
            "sigma": pytest.approx(np.std(values)),
            "values": values,
        }
        assert (found["seed"], found["ddof"], found["undefined"]) == (seed, 0, ["none"])
        summary = json.loads((path / "summary.json").read_text())
        assert (summary["run_id"], summary["seed"], summary["best_epoch"]) == (path.name, seed, None)
        assert summary["best_metric"] == pytest.approx(np.mean(values))
        assert [one["hpo"]["fold"] for one in below] == [1, 2, 3, 4]
        assert not list(path.rglob("checkpoint.pt"))


def test_pooled_cases_are_unique(promoted):
    _, outcome = promoted
    for path in outcome.results:
        with (path / "val_predictions.csv").open() as file:
            rows = list(csv.DictReader(file))
        cases = sorted(f"case-{number}" for number in range(20))
        for repeat in ("12", "34"):
            assert sorted(row["path"] for row in rows if row["fold"] in repeat) == cases
        metrics = json.loads((path / "metrics" / "val_metrics.json").read_text())
        right = [row["y_true"] == row["y_pred"] for row in rows]
        assert metrics["acc"] == pytest.approx(np.mean(right))
        assert np.sum(metrics["confusion_matrix"]) == 40
        assert metrics["epoch"] is None


@pytest.mark.slow
def test_lost_fold_is_trained_again(promoted, restored_config, tmp_path):
    made, outcome = promoted
    assert hpo.promote(made, restored_config).trained == 0
    before = (outcome.results[1] / "cv_summary.json").read_bytes()
    shutil.rmtree(outcome.results[1])
    [lost] = (restored_config.outputs / ".work").glob(
        f"*/promotion/trial-*{outcome.ranking.winner.candidate.trial}-seed-43-fold-3-*"
    )
    shutil.rmtree(lost)
    again = hpo.promote(made, restored_config)
    assert (again.trained, again.results) == (1, outcome.results)
    assert (outcome.results[1] / "cv_summary.json").read_bytes() == before


def test_verify_compare_and_replay_folds(promoted, restored_config):
    made, outcome = promoted
    found = api.verify(made, restored_config, resumed=True)
    assert len(found) == 12
    assert all(one.is_identical for one in found)
    winner, other = (row.candidate for row in outcome.ranking.rows)
    compared = api.compare(str(winner.trial), str(other.trial), made, restored_config)
    assert compared.values == (tuple(winner.values.values()), tuple(other.values.values()))
    replayed = api.replay(made, restored_config, trial=winner.trial, replays=2)
    first = {
        one.job.seed: one
        for one in stored(restored_config, Stage.PROMOTION)
        if one.job.fold == 1 and one.job.trial == winner.trial
    }
    assert replayed.replays.values == (first[42].value,) * 2
    assert replayed.seeds == {seed: one.value for seed, one in first.items()}
    trial, evaluations = api.show(made, winner.trial, restored_config)
    assert "42 fold 4" in shown(trial_text(trial, evaluations, Objective(metric="val")))


def test_decompose_uses_one_fold(study, config):
    made = study(2, search={"trials": 2})
    hpo.run(made, config)
    found = api.decompose(made, config, trial=0, n=3, sources=("split", "init"), replays=1)
    assert {job.fold for job in found.draws.jobs} == {1}
    assert found.trained == 10


def test_total_trainings_count_every_fold(study, config):
    made = study(3)
    share = api.share_of_search(made, api.PromotionOptions(race=True, trainings=120))
    plan = race_plan(made, 0, api.PromotionOptions(race=True, trainings=120))
    assert 3 * (share + plan.cost) <= 120 < 3 * (share + 1 + plan.cost)


def shown(renderable):
    from rich.console import Console

    console = Console(width=200)
    with console.capture() as capture:
        console.print(renderable, highlight=False, markup=False)
    return capture.get()
