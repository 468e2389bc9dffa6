"""The files of a search's trials: which are kept, in which format, within which size."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

import hpo
from hpo import api
from hpo.cli.main import app
from hpo.core.errors import StudyInvalid, TooManyFailures, UsageError
from hpo.core.files import tree_size
from hpo.core.records import Stage
from hpo.driver.resources import work_folder
from hpo.driver.storage import storage
from hpo.study import Study, parse
from hpo.training.weights import weights_digest

ROOT = Path(__file__).parents[2]
FILES = {
    "summary.json",
    "optuna_trial.json",
    "ray_hpo_{}.jsonl",
    "train_history.csv",
    "train_history.json",
    "metrics/val_metrics.json",
    "metrics/best_metrics.json",
    "run.log",
}
FOLDS = {
    "trainable": "toys.folds:train",
    "space": {"x": {"float": [0.0, 1.0]}},
    "validation": {"folds": 2},
}
PACKAGES = ("versions", "packages")
"""Those that a process has loaded: that of the tests has some of earlier tests."""

TIMES = ("timestamp", "datetime_start", "datetime_complete", "created_at", "finished_at", "seconds", "reproducibility")


def names(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def without_times(value, more=()):
    if isinstance(value, dict):
        left_out = (*TIMES, "uid", "kept", "pid", *more)
        return {key: without_times(one, more) for key, one in value.items() if key not in left_out}
    return [without_times(one, more) for one in value] if isinstance(value, list) else value


def contents(folder, *more):
    """What the files of kept trials say, without times and process ids, and more keys."""
    found = {}
    for path in sorted(folder.rglob("*")):
        key = path.relative_to(folder).as_posix()
        if path.suffix == ".json":
            found[key] = without_times(json.loads(path.read_text()), more)
        elif path.suffix == ".jsonl":
            found[key] = [without_times(json.loads(line), more) for line in path.read_text().splitlines()]
    return found


def evaluations(config, name="curve"):
    with storage(config.storage) as (store, _):
        return store.evaluations(store.find(name), Stage.SEARCH)


def kept(config, name="curve"):
    folder = config.outputs / name / "trials"
    return sorted(int(path.name) for path in folder.iterdir()) if folder.is_dir() else []


@pytest.fixture(scope="module")
def net(curve):
    content = {
        "name": "net",
        "trainable": "toys.keeps:train",
        "objective": {"metric": "val_acc"},
        "space": {"lr": {"float": [0.01, 0.1]}},
        "search": {"trials": 1, "budget": 2, "sampler": "random", "pruner": "none"},
        "promotion": {"top": 1, "seeds": [41, 42]},
        "results": {"keep": "all"},
    }
    return hpo.Study.model_validate(content).located(curve().root)


@pytest.mark.slow
def test_format_is_that_of_results(net, config):
    import torch

    hpo.run(net, config)
    results = hpo.promote(net, config).results[0]  # the same training, under the seed of the search
    trial = config.outputs / "net" / "trials" / "0"
    assert names(trial) == {name for name in names(results) if not name.endswith(".png")}
    assert {"best_model.pt", "note.txt", "val_predictions.csv"} < names(trial)
    for name in ("train_history.csv", "train_history.json", "val_predictions.csv", "metrics/val_metrics.json"):
        assert (trial / name).read_bytes() == (results / name).read_bytes()
    one, other = (without_times(json.loads((of / "optuna_trial.json").read_text())) for of in (trial, results))
    assert one == other
    line, as_written = ((of / "ray_hpo_0.jsonl").read_text().splitlines()[0] for of in (trial, results))
    assert without_times(json.loads(line)) == without_times(json.loads(as_written))
    one, other = (torch.load(of / "best_model.pt", weights_only=True) for of in (trial, results))
    assert weights_digest(one) == weights_digest(other)


def test_keeping_changes_no_bit(net, config, tmp_path):
    plain = hpo.RunConfig(storage=f"sqlite:///{tmp_path / 'b.db'}", outputs=tmp_path / "b", backend="local")
    hpo.run(net, config)
    hpo.run(net, plain, keep="winner")
    [one], [other] = evaluations(config, "net"), evaluations(plain, "net")
    assert (one.value, one.digests, [each.metrics for each in one.reports]) == (
        other.value,
        other.digests,
        [each.metrics for each in other.reports],
    )
    assert kept(config, "net") == [0]
    assert kept(plain, "net") == []
    assert not list((tmp_path / "b" / "work").rglob("*.pt"))


def test_every_finished_trial_is_kept(curve, config):
    study = curve(search={"trials": 12, "budget": 3, "pruner_options": {"n_startup_trials": 1}})
    found = hpo.run(study, config, keep="all")
    assert {one.state for one in found.trials} == {"complete", "pruned"}
    assert list(found.kept.trials) == kept(config) == list(range(12))
    assert found.kept.size == tree_size(config.outputs / "curve" / "trials")
    for one in found.trials:
        folder = config.outputs / "curve" / "trials" / str(one.number)
        assert names(folder) == {name.format(one.number) for name in FILES}
        told = json.loads((folder / "optuna_trial.json").read_text())
        assert (told["state"], told["value"]) == (one.state, one.value)
        assert len((folder / f"ray_hpo_{one.number}.jsonl").read_text().splitlines()) == len(one.values)


def test_a_failed_trial_has_what_there_is(curve, config):
    study = curve(search={"trials": 3, "max_failures": 1}, fixed={"fault": "raise"}, results={"keep": "all"})
    with pytest.raises(TooManyFailures):
        hpo.run(study, config)
    folder = config.outputs / "curve" / "trials" / "0"
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["hpo"]["status"], summary["best_metric"]) == ("failed", None)
    assert summary["hpo"]["error"]
    assert "failed" in (folder / "run.log").read_text()


def test_best_keeps_the_best_complete(curve, config):
    study = curve(search={"trials": 6, "budget": 2, "pruner": "none"}, results={"keep": "best:2"})
    found = hpo.run(study, config)
    order = sorted(found.trials, key=lambda one: (-one.value, one.number))
    assert kept(config) == sorted(one.number for one in order[:2])
    with storage(config.storage) as (store, _):
        work = work_folder(store.find("curve"), config)
    left = {path.parent.name for path in Path(work).rglob("run.log")}
    assert len(left) == 2, "a trial that is not kept leaves no files in the work folder"
    assert all("complete in" in "".join(api.logs("curve", config, trial=number)) for number in range(6))


def test_better_trials_replace_worse(curve, config):
    best = [{"x": 0.9}, {"x": 0.5}, {"x": 0.3}]
    tables = {"search": {"budget": 2, "pruner": "none", "enqueue": best}, "results": {"keep": "best:1"}}
    values = []
    for trials in (1, 2, 3):
        found = hpo.run(curve(**{**tables, "search": {**tables["search"], "trials": trials}}), config)
        values.append(found.incumbent.number)
        assert kept(config) == [found.incumbent.number]
    assert len(set(values)) > 1


def test_fewer_kept_removes_no_folder(curve, config):
    hpo.run(curve(search={"trials": 3, "budget": 1}), config, keep="all")
    hpo.run(curve(search={"trials": 3, "budget": 1}), config, keep="best:1")
    hpo.run(curve(search={"trials": 3, "budget": 1}), config)
    assert kept(config) == [0, 1, 2]


def test_resumed_is_as_uninterrupted(curve, config, tmp_path):
    few, many = (curve(search={"trials": count, "budget": 2}, results={"keep": "all"}) for count in (2, 4))
    whole = hpo.RunConfig(storage=f"sqlite:///{tmp_path / 'b.db'}", outputs=tmp_path / "b", backend="local")
    hpo.run(few, config)
    hpo.run(many, config)
    hpo.run(many, whole)
    assert contents(config.outputs / "curve" / "trials") == contents(whole.outputs / "curve" / "trials")


def test_missing_folders_are_completed(curve, config):
    study = curve(search={"trials": 3, "budget": 2}, results={"keep": "all"})
    hpo.run(study, config)
    folder = config.outputs / "curve" / "trials"
    before = contents(folder)
    shutil.rmtree(folder / "1")
    (folder / ".trial_1.99").mkdir()  # of a killed process
    stamp = (folder / "0" / "summary.json").stat().st_mtime_ns
    records = evaluations(config)
    hpo.run(study, config)
    assert contents(folder) == before
    assert evaluations(config) == records
    assert (folder / "0" / "summary.json").stat().st_mtime_ns == stamp
    assert kept(config) == [0, 1, 2]


def test_keep_added_later_trains_nothing(net, config):
    hpo.run(net, config, keep="winner")
    records = evaluations(config, "net")
    found = hpo.run(net, config)
    assert evaluations(config, "net") == records
    assert kept(config, "net") == [0]
    assert "best_model.pt" not in names(config.outputs / "net" / "trials" / "0")
    assert found.kept.notes == (
        "Without weights, because the training did not save them or they were removed: trial 0.",
    )


def test_limit_stops_keeping(curve, config):
    study = curve(search={"trials": 4, "budget": 2}, results={"keep": "all", "limit": "14 kB"})
    found = hpo.run(study, config)
    assert 0 < len(found.kept.trials) < 4
    assert found.kept.size <= 14000
    [note] = found.kept.notes
    assert note.startswith("The limit of 14 kB ([results] limit) is reached, so these are not kept: trial ")
    assert note in str(found.page())


@pytest.mark.slow
def test_foreign_folder_stays(curve, config):
    place = config.outputs / "curve" / "trials" / "1"
    place.mkdir(parents=True)
    (place / "mine.txt").write_text("mine")
    found = hpo.run(curve(search={"trials": 2, "budget": 1}), config, keep="all")
    assert names(place) == {"mine.txt"}
    assert found.kept.trials == (0,)
    assert found.kept.notes == (f"{place} is not of this search, so it stays; remove it to keep that trial.",)


def test_retrained_trial_is_written_again(curve, config):
    study = curve(search={"trials": 1, "budget": 1}, results={"keep": "all"})
    hpo.run(study, config)
    folder = config.outputs / "curve" / "trials" / "0"
    before = contents(folder)
    summary = json.loads((folder / "summary.json").read_text())
    summary["hpo"]["kept"] = "of an attempt before"
    (folder / "summary.json").write_text(json.dumps(summary))
    (folder / "run.log").write_text("of an attempt before")
    hpo.run(study, config)
    assert contents(folder) == before
    assert "before" not in (folder / "run.log").read_text()


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        (FOLDS, {"seed_41_fold_1", "seed_41_fold_2"}),
        ({"search": {"seeding": "replicated", "replicates": 2, "pruner": "none"}}, None),
    ],
    ids=["folds", "replicated"],
)
def test_several_trainings_have_a_folder_each(curve, config, tables, expected):
    search = {"trials": 1, "budget": 2, **tables.get("search", {})}
    study = curve(**{**tables, "search": search}, results={"keep": "all"})
    found = hpo.run(study, config)
    folder = config.outputs / "curve" / "trials" / "0"
    told = json.loads((folder / "optuna_trial.json").read_text())
    below = {path.name for path in folder.iterdir() if path.is_dir()}
    assert below == set(told["trainings"]) == (expected or {f"seed_{seed}" for seed in study.search_seeds(0)})
    assert told["objective"] == told["value"] == found.trials[0].value
    for one in below:
        assert {name.format(0) for name in FILES} <= names(folder / one)


def test_keeping_is_not_identity(curve):
    kept_all = curve(results={"keep": "all"})
    assert "results" not in curve().content()
    assert curve(results={"keep": "winner"}).digest == curve().digest
    assert kept_all.identity() == curve().identity()
    assert Study.model_validate(kept_all.content()).results.keep == "all"
    assert '[results]\nkeep = "all"' in kept_all.to_toml()


@pytest.mark.parametrize(
    ("table", "key", "message"),
    [
        ({"keep": "best:0"}, "results.keep", "expected 'winner', 'all' or 'best:N' with an N of 1 or more"),
        ({"keep": "some"}, "results.keep", "got 'some'"),
        ({"limit": "much"}, "results.limit", "expected a size such as 500 MB, 2 GB or 1.5 GiB, got 'much'"),
        ({"keeps": "all"}, "results.keeps", "no such key (keys: keep, limit, formats). Did you mean keep?"),
        ({"keep": 5}, "results.keep", "expected a text, got 5"),
    ],
)
def test_bad_results_tables(curve, table, key, message):
    study, problems = parse({**curve().content(), "results": table})
    assert study is None
    [problem] = problems
    assert problem.key == key
    assert message in problem.message


def test_best_of_several_objectives_is_refused(curve, config):
    objective = {"metrics": {"val": "maximize", "loss": "minimize"}}
    search = {"trials": 1, "budget": 1, "sampler": "random", "pruner": "none"}
    content = {**curve().content(), "objective": objective, "search": search}
    study, problems = parse({**content, "results": {"keep": "best:2"}})
    assert study is None
    assert [problem.key for problem in problems] == ["results.keep"]
    study = parse(content)[0].located(curve().root)
    with pytest.raises(UsageError, match="best:2 ranks trials by one value"):
        api.run(study, config, keep="best:2")
    api.run(study, config, keep="all")
    told = json.loads((config.outputs / "curve" / "trials" / "0" / "optuna_trial.json").read_text())
    assert len(told["values"]) == 2


def test_bad_keep_option(curve, config):
    with pytest.raises(UsageError, match=r"keep: expected 'winner', 'all' or 'best:N'.*got 'some'"):
        api.run(curve(), config, keep="some")
    with pytest.raises(StudyInvalid, match="best:0"):
        hpo.Study(
            name="s",
            trainable="toys.curve:train",
            objective=hpo.maximize("val"),
            space={"x": hpo.Float(0, 1)},
            results={"keep": "best:0"},
        )
    assert not kept(config)


def test_the_page_shows_what_runs(curve, config, monkeypatch):
    section = (ROOT / "docs" / "moving-a-project.md").read_text().partition("## Files of every trial\n")[2]
    table, commands = re.findall(r"```\w+\n(.*?)```", section, re.DOTALL)
    assert curve(**tomllib.loads(table)).results.most_bytes == 2e9
    monkeypatch.setenv("HPO_STUDIES", str(curve().root / "studies"))
    where = ["--storage", config.storage, "--outputs", str(config.outputs)]
    printed = []
    for line in commands.splitlines():
        words = line.replace("NAME", "curve").removeprefix("$ hpo ").split()
        more = ["--trials", "1", "--backend", "local"] if words[0] == "run" else []
        result = CliRunner().invoke(app, [*words, *where, *more])
        assert result.exit_code == 0, result.output
        printed.append(result.stdout)
    assert "Kept: 1 trial, " in printed[0]
    assert printed[1].startswith("curve: would remove 1 kept trial (")
    assert printed[2] == printed[1].replace("would remove", "removed")
    named = ["optuna_trial.json", "summary.json", "metrics/val_metrics.json", "run.log"]
    assert all(f"`{name}`" in section for name in named)


@pytest.mark.ray
@pytest.mark.slow
def test_ray_keeps_what_local_keeps(curve, config, tmp_path, at_ray):
    study = curve(search={"trials": 4, "budget": 2}, results={"keep": "all"})
    on_ray = hpo.RunConfig(storage=f"sqlite:///{tmp_path / 'r.db'}", outputs=tmp_path / "r")
    hpo.run(study, config)
    hpo.run(study, on_ray)
    local, ray = (contents(one.outputs / "curve" / "trials", *PACKAGES) for one in (config, on_ray))
    assert local == ray
