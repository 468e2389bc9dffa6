"""The verbs from end to end, on the local backend unless it is Ray's turn."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

import hpo
from hpo import api
from hpo.core.errors import HpoError, NothingToPromote, OutputRefused, StorageUnavailable, StudyBusy, UsageError
from hpo.store import Store


class Counter(hpo.Observer):
    """An onlooker that counts, and stops the work after so many evaluations or reports."""

    def __init__(self, stop_after_told=None, stop_after_reports=None):
        self.told_jobs, self.reports, self.begun = [], 0, None
        self.recorded_jobs = []
        self.stop = threading.Event()
        self._after_told, self._after_reports = stop_after_told, stop_after_reports

    def begins(self, total, done):
        self.begun = (total, done)

    def reported(self, job, step, value):
        self.reports += 1
        if self.reports == self._after_reports:
            self.stop.set()

    def recorded(self, evaluation):
        self.recorded_jobs.append(evaluation.job)

    def told(self, evaluation):
        self.told_jobs.append(evaluation.job)
        if len(self.told_jobs) == self._after_told:
            self.stop.set()


def rows(ranking):
    return [(row.candidate.trial, dict(row.candidate.values), row.mean, row.sigma, row.score) for row in ranking.rows]


def tree(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".work" not in path.parts
    }


def trials(outcome):
    return [(t.number, t.state, t.params, t.value, t.values) for t in outcome.trials]


def net(curve, **tables):
    """A study of the small network, which has weights and predictions."""
    return curve(
        name="net",
        trainable="toys.net:train",
        objective={"metric": "val_acc"},
        space={"lr": {"float": [0.01, 0.2], "log": True}},
        search={"trials": 4, "budget": 3},
        **tables,
    )


@pytest.fixture(scope="module")
def net_promoted(curve, module_config):
    """The small network's study, its search and its promotion."""
    study = net(curve)
    return study, hpo.run(study, module_config), hpo.promote(study, module_config)


@pytest.fixture(scope="module")
def curve_promoted(curve, module_config):
    """The toy study and its promotion."""
    study = curve(search={"trials": 8})
    hpo.run(study, module_config)
    return study, hpo.promote(study, module_config)


def test_promotion_gives_three_results(net_promoted):
    _, searched, outcome = net_promoted
    assert (searched.count("complete") + searched.count("pruned"), searched.stopped) == (4, False)
    assert [path.name for path in outcome.results] == ["results_7", "results_8", "results_9"]
    assert outcome.trained == 9
    seeds = [json.loads((path / "summary.json").read_text())["seed"] for path in outcome.results]
    assert seeds == [42, 43, 44]
    winner = outcome.ranking.winner
    for path, seed in zip(outcome.results, seeds, strict=True):
        summary = json.loads((path / "summary.json").read_text())
        assert summary["hpo"]["value"] == winner.candidate.values[seed]
        assert (path / "best_model.pt").exists()
        assert not (path / "checkpoint.pt").exists()
    table = json.loads((outcome.folder / "promotion.json").read_text())
    with (outcome.folder / "promotion.csv").open() as file:
        printed = list(csv.DictReader(file))
    assert [int(row["trial"]) for row in printed] == [row.candidate.trial for row in outcome.ranking.rows]
    assert float(printed[0]["seed_43"]) == winner.candidate.values[43]
    assert table["winner"] == winner.candidate.trial
    assert "rank" in (outcome.folder / "promotion.html").read_text()
    assert list(outcome.frame()["trial"]) == [row.candidate.trial for row in outcome.ranking.rows]
    assert list(searched.frame()["lr"]) == [trial.params["lr"] for trial in searched.trials]
    assert table["ddof"] == 0


def test_second_promotion_does_nothing(curve_promoted, restored_config):
    study, first = curve_promoted
    before = tree(restored_config.outputs)
    counter = Counter()
    second = hpo.promote(study, restored_config, observers=[counter])
    assert (second.trained, counter.told_jobs, counter.begun) == (0, [], (9, 9))
    assert second.results == first.results
    assert rows(second.ranking) == rows(first.ranking)
    assert tree(restored_config.outputs) == before


@pytest.mark.slow
def test_interrupted_promotion_resumes(curve, config):
    study = curve(search={"trials": 4})
    hpo.run(study, config)
    counter = Counter(stop_after_told=4)
    cut = hpo.promote(study, config, observers=[counter], stop=counter.stop)
    assert cut.stopped
    assert not cut.results
    assert not list((config.outputs / "curve").glob("results_*"))
    again = Counter()
    outcome = hpo.promote(study, config, observers=[again])
    assert again.begun == (9, 4)
    assert not {job.key for job in again.told_jobs} & {job.key for job in counter.told_jobs}
    assert outcome.trained == 5


def test_deleted_results_are_restored(net_promoted, restored_config):
    study, _, first = net_promoted
    before = tree(restored_config.outputs)
    shutil.rmtree(first.results[1])
    second = hpo.promote(study, restored_config)
    assert (second.trained, second.results) == (0, first.results)
    after = tree(restored_config.outputs)
    assert set(after) == set(before)
    same = [name for name in before if after[name] == before[name]]
    assert "net/results_8/best_model.pt" in same
    assert "net/results_8/val_predictions.csv" in same
    assert [name for name in before if "results_7" in name or "results_9" in name] == [
        name for name in same if "results_7" in name or "results_9" in name
    ]


def test_deleted_artifacts_are_trained_again(net_promoted, restored_config):
    study, _, first = net_promoted
    model = (first.results[1] / "best_model.pt").read_bytes()
    shutil.rmtree(first.results[1])
    shutil.rmtree(restored_config.work_root)
    second = hpo.promote(study, restored_config)
    assert second.trained == 1
    assert (second.results[1] / "best_model.pt").read_bytes() == model


@pytest.mark.slow
def test_partial_restore_is_completed(net_promoted, restored_config, tmp_path):
    study, _, first = net_promoted
    model = (first.results[0] / "best_model.pt").read_bytes()
    shutil.rmtree(first.results[0])
    next(
        Path(restored_config.work_root).rglob(f"*-{first.ranking.winner.candidate.trial:05d}-seed-42-*/best_model.pt")
    ).unlink()
    second = hpo.promote(study, restored_config)
    assert (second.trained, (second.results[0] / "best_model.pt").read_bytes()) == (1, model)
    Path(restored_config.work_root).rename(tmp_path / "moved")
    third = hpo.promote(study, replace(restored_config, outputs=tmp_path / "elsewhere"))
    assert (third.trained, (third.results[0] / "best_model.pt").read_bytes()) == (3, model)


@pytest.mark.slow
def test_irreproducible_restore_is_an_error(curve, config, tmp_path):
    """Here the project's code has changed since; on another machine it could be the threads."""
    project = tmp_path / "changing"
    shutil.copytree(net(curve).root, project, ignore=shutil.ignore_patterns("__pycache__"))
    (project / "toys").rename(project / "changed_toys")
    study = hpo.Study.model_validate({**net(curve).content(), "trainable": "changed_toys.net:train"}).located(project)
    hpo.run(study, config, trials=1)
    first = hpo.promote(study, config)
    shutil.rmtree(first.results[0])
    shutil.rmtree(config.work_root)
    store = Store(config.storage)
    stored = store.find("net")
    job = store.evaluations(stored, trial=first.ranking.winner.candidate.trial)[-3].job
    with store._engine.begin() as connection:
        connection.exec_driver_sql('UPDATE hpo_evaluations SET digests = \'{"weights": "other"}\' WHERE seed = 42')
    store.close()
    assert job.seed == 42
    with pytest.raises(HpoError, match="seed 42 are gone, and training again gave other weights or predictions"):
        hpo.promote(study, config)
    assert not first.results[0].exists()


@pytest.mark.slow
def test_interrupted_search_has_same_table(curve, config, tmp_path):
    study = curve(search={"trials": 12})
    undisturbed = hpo.run(study, replace(config, storage=f"sqlite:///{tmp_path / 'whole.db'}"))
    for after in (7, 11, 16):
        counter = Counter(stop_after_reports=after)
        assert hpo.run(study, config, observers=[counter], stop=counter.stop).stopped
    finished = hpo.run(study, config)
    assert trials(finished) == trials(undisturbed)


def test_record_before_crash_is_reused(curve, config):
    """The record comes first; a crash between it and Optuna's table leaves the trial running there."""
    study = curve(search={"trials": 3})
    whole = hpo.run(study, config)
    store = Store(config.storage)
    with store._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE trials SET state = 'RUNNING', datetime_complete = NULL WHERE number = 2")
        connection.exec_driver_sql("DELETE FROM trial_values WHERE trial_id = 3")
    store.close()
    counter = Counter()
    again = hpo.run(study, config, observers=[counter])
    assert counter.reports == 0  # no epoch was trained
    assert counter.told_jobs == []
    assert [job.trial for job in counter.recorded_jobs] == [2]
    assert trials(again) == trials(whole)


@pytest.mark.slow
def test_minimizing_is_mirrored(curve, curve_promoted, config):
    down = curve(objective={"metric": "loss", "direction": "minimize"}, search={"trials": 8})
    hpo.run(down, config)
    best = curve_promoted[1].ranking
    least = hpo.promote(down, config).ranking
    assert [row.candidate.trial for row in best.rows] == [row.candidate.trial for row in least.rows]
    assert [1 - row.score for row in best.rows] == pytest.approx([row.score for row in least.rows])


def test_score_convention_can_be_chosen(curve_promoted, restored_config):
    study, first = curve_promoted
    plain = first.ranking.winner
    other = hpo.promote(study, restored_config, lambda_=2.0, ddof=1).ranking
    row = next(row for row in other.rows if row.candidate.trial == plain.candidate.trial)
    assert row.sigma == pytest.approx(plain.sigma * (3 / 2) ** 0.5)
    assert row.score == pytest.approx(row.mean - 2 * row.sigma)
    assert api.rank_stored(study, restored_config, lambda_=0.0).ranking.rows[0].score == pytest.approx(
        max(row.mean for row in other.rows)
    )


def test_top_larger_than_number_of_trials(curve, config):
    study = curve(search={"trials": 2}, promotion={"seeds": [42, 43]})
    hpo.run(study, config)
    outcome = hpo.promote(study, config, top=50)
    assert (len(outcome.ranking.rows), outcome.asked_top) == (2, 50)


@pytest.mark.slow
def test_equal_params_are_one_candidate(curve, config):
    study = curve(space={"x": {"choice": [0.2, 0.4]}}, search={"trials": 6}, promotion={"seeds": [42, 43]})
    hpo.run(study, config)
    assert len(hpo.promote(study, config, top=5).ranking.rows) == 2


@pytest.mark.slow
def test_failing_candidate_never_wins(curve, config):
    study = curve(
        space={"x": {"float": [0.0, 1.0]}},
        search={"trials": 8, "budget": 1, "pruner": "none", "max_failures": 9},
        trainable="toys.curve:train_nan",
    )
    hpo.run(study, config)
    grown = hpo.Study.model_validate(
        {**study.content(), "name": "grown", "search": {**study.content()["search"], "budget": 2}}
    )
    grown = grown.located(study.root)
    searched = hpo.run(grown, config)
    assert searched.count("failed") > 0
    assert all(t.error == "metric 'val' at step 2 is nan, not a finite number" for t in searched.trials if t.error)
    assert hpo.promote(grown, config).ranking.winner is not None


def test_no_complete_trial_to_promote(curve, config):
    study = curve(trainable="toys.curve:train_silent", search={"trials": 2})
    hpo.run(study, config)
    with pytest.raises(NothingToPromote, match=r"no completed trial to promote \(2 failed\).*hpo run --study curve"):
        hpo.promote(study, config)
    assert not list((config.outputs / "curve").glob("results_*"))


def test_promote_creates_no_storage(curve, config, tmp_path):
    with pytest.raises(StorageUnavailable, match="no storage"):
        hpo.promote(curve(), config)
    assert not (tmp_path / "hpo.db").exists()


def test_early_promote_stores_nothing(curve, config):
    hpo.run(curve(name="other"), config, trials=1)
    with pytest.raises(NothingToPromote, match="has not been searched"):
        hpo.promote(curve(), config)
    store = Store(config.storage)
    assert store.names() == ["other"]
    store.close()


def test_unwritable_outputs_fail_early(curve, config):
    study = curve(search={"trials": 2})
    hpo.run(study, config)
    blocked = config.outputs.parent / "file"
    blocked.write_text("in the way")
    counter = Counter()
    with pytest.raises(OutputRefused):
        hpo.promote(study, replace(config, outputs=blocked), observers=[counter])
    assert counter.told_jobs == []


def test_missing_ray_is_refused_first(curve, config, tmp_path):
    nowhere = replace(config, backend="ray", ray_address="127.0.0.1:1")
    with pytest.raises(UsageError, match=r"no Ray at 127\.0\.0\.1:1"):
        hpo.run(curve(), nowhere)
    assert not (tmp_path / "hpo.db").exists()


def test_second_driver_is_refused(curve, config):
    study = curve()
    hpo.run(study, config, trials=1)
    store = Store(config.storage)
    held = store.lease(store.find("curve"), "run")
    with pytest.raises(StudyBusy, match="is driven by host"):
        hpo.run(study, config)
    held.release()
    store.close()
    hpo.run(study, config, trials=2)


def test_foreign_optuna_study_is_untouched(curve, config):
    import optuna

    optuna.create_study(study_name="curve", storage=config.storage)
    with pytest.raises(UsageError, match="that hpo did not create"):
        hpo.run(curve(), config)
    assert Store(config.storage).find("curve") is None


@pytest.mark.slow
@pytest.mark.usefixtures("net_promoted")
def test_fixed_streams_ignore_the_seed(curve, module_config, config):
    fixed = net(curve, streams={"split": 5}, promotion={"seeds": [42, 43]})
    hpo.run(fixed, config, trials=1)
    assert hpo.promote(fixed, config, top=1).trained == 2
    splits = []
    for place in (module_config, config):
        store = Store(place.storage)
        splits.append({one.fingerprint["facts"]["split"] for one in store.evaluations(store.find("net"))})
        store.close()
    assert [len(found) for found in splits] == [4, 1]


@pytest.mark.slow
@pytest.mark.postgres
def test_postgres_gives_the_same_table(curve, config, postgres_url):
    study = curve(search={"trials": 8})
    there = replace(config, storage=postgres_url, outputs=config.outputs / "pg")
    assert trials(hpo.run(study, there)) == trials(hpo.run(study, config))
    assert rows(hpo.promote(study, there).ranking) == rows(hpo.promote(study, config).ranking)
    [progress] = api.status("curve", there)
    assert progress.promoted is not None


@pytest.mark.postgres
def test_postgres_without_an_encoding(curve, config, postgres_server):
    """SQL_ASCII is what a server has whose machine has no locale, e.g. in a container."""
    postgres_server.psql("CREATE DATABASE plain ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    study = curve(search={"trials": 3})
    there = replace(config, storage=postgres_server.get_uri(database="plain"), outputs=config.outputs / "pg")
    assert trials(hpo.run(study, there)) == trials(hpo.run(study, config))


@pytest.mark.slow("ray")
def test_workers_match_local_backend(curve, config, on_workers, tmp_path):
    study = net(curve)
    place = hpo.RunConfig(storage=f"sqlite:///{tmp_path / 'there.db'}", outputs=tmp_path / "there", **on_workers)
    with api.Workers() as workers:
        assert trials(hpo.run(study, place, workers=workers)) == trials(hpo.run(study, config))
        there = hpo.promote(study, place, workers=workers)
    here = hpo.promote(study, config)
    assert rows(there.ranking) == rows(here.ranking)
    for one, two in zip(there.results, here.results, strict=True):
        assert (one / "val_predictions.csv").read_bytes() == (two / "val_predictions.csv").read_bytes()
        digests = [json.loads((path / "summary.json").read_text())["hpo"]["digests"] for path in (one, two)]
        assert digests[0] == digests[1]


def test_another_optuna_is_remarked(curve, config):
    study = curve(search={"trials": 2})
    hpo.run(study, config)
    with sqlite3.connect(config.storage.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE trial_user_attributes SET value_json = '\"5.9.0\"' WHERE key = 'hpo:optuna'")
    found = hpo.run(curve(search={"trials": 3}), config).trials
    assert [one.optuna for one in found] == ["5.9.0", "5.9.0", optuna.__version__]
    assert "continues a search of Optuna 5.9.0" in found[2].not_reproducible
    assert found[0].not_reproducible is None
