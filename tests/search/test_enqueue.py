"""Configurations that people bring: tried first, once, and never lost."""

from __future__ import annotations

import json
import random

import pytest
from searches import in_random_order, one_by_one, open_source, table

from hpo import api
from hpo.cli.main import app
from hpo.core.errors import ParamsInvalid, UsageError
from hpo.core.records import Job
from hpo.store import prepare_optuna
from hpo.store.optuna_storage.studies import OptunaStudies
from hpo.study import checked_configurations, parse

GOOD = [{"x": 0.3, "k": 1, "shape": "late", "gain": 1.0}, {"x": 0.5, "shape": "flat"}]


@pytest.fixture
def database(tmp_path):
    made = OptunaStudies(f"sqlite:///{tmp_path / 'hpo.db'}", prepare_optuna)
    yield made
    made.close()


def enqueue(durable, study, configurations):
    return durable.open(study.name, study.objective, {}).enqueue(configurations)


def test_enqueued_trials_come_first(database, curve):
    study = curve(search={"lag": 1})
    assert enqueue(database, study, GOOD) == 2
    one_by_one(open_source(database, study, 8))
    first, second, *others = [row[2] for row in table(database, study)]
    assert first == GOOD[0]
    assert {**second, "k": None} == {**GOOD[1], "k": None}
    assert second["k"] in range(1, 6)
    assert not any(other["x"] in (0.3, 0.5) for other in others)


def test_duplicates_are_not_enqueued(database, curve):
    study = curve()
    assert enqueue(database, study, GOOD) == 2
    one_by_one(open_source(database, study, 3))
    assert enqueue(database, study, [*GOOD, GOOD[0]]) == 0
    one_by_one(open_source(database, study, 8))
    assert [row[2]["x"] for row in table(database, study)].count(0.3) == 1


def test_later_additions_are_tried_next(database, curve):
    study = curve()
    one_by_one(open_source(database, study, 3))
    assert enqueue(database, study, GOOD) == 2
    source = open_source(database, study, 4)
    one_by_one(source)
    assert source.ended == "the study has its 4 trials; 1 enqueued configuration waits for more"
    one_by_one(open_source(database, study, 6))
    assert [row[2]["x"] for row in table(database, study)][3:5] == [0.3, 0.5]


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["tpe", "random", "cmaes", "qmc", "nsgaii"])
def test_lag_with_enqueue_is_reproducible(tmp_path, curve, sampler):
    study = curve(search={"lag": 3, "sampler": sampler})
    tables = []
    for run in range(3):
        durable = OptunaStudies(f"sqlite:///{tmp_path / f'{run}.db'}", prepare_optuna)
        enqueue(durable, study, GOOD)
        if run == 2:  # a driver that ends before its first two trials do
            source = open_source(durable, study, 12)
            assert isinstance(source.ask(), Job)
            assert isinstance(source.ask(), Job)
        in_random_order(open_source(durable, study, 12), 1 + run, random.Random(run))
        tables.append(table(durable, study))
        durable.close()
    assert tables[0] == tables[1] == tables[2]
    assert [row[2]["x"] for row in tables[0]][:2] == [0.3, 0.5]


@pytest.mark.slow
def test_study_enqueue_comes_first(config, curve):
    study = curve(search={"enqueue": GOOD, "trials": 4})
    found = api.run(study, config, enqueue=[{"x": 0.9}])
    assert [trial.params["x"] for trial in found.trials][:3] == [0.3, 0.5, 0.9]
    assert [trial.params["x"] for trial in api.run(study, config, trials=6).trials].count(0.3) == 1


def test_enqueue_added_to_stored_study(config, curve):
    api.run(curve(search={"trials": 3}), config)
    found = api.run(curve(search={"enqueue": GOOD[:1], "trials": 4}), config)
    assert found.trials[3].params == GOOD[0]


def test_no_enqueue_keeps_study_identity(curve):
    assert curve(search={"sampler": "tpe"}).digest == "2cede9f29dff1e78e6fd682607fbb2041960152f4296ef1d3fa7e7bbf2bc54f1"
    assert "enqueue" not in curve().content()["search"]
    assert curve(search={"enqueue": GOOD}).identity() == curve().identity()


@pytest.mark.parametrize(
    ("tables", "key", "message"),
    [
        ([GOOD[0], {"xx": 0.1}], "search.enqueue.1.xx", "Did you mean x?"),
        ([{"x": 1.5}], "search.enqueue.0.x", "expected a value of float 0.0 .. 1.0, got '1.5'"),
        ([{"gain": 0.5}], "search.enqueue.0.gain", "give shape too"),
        ([{"nap": 0.0}], "search.enqueue.0.nap", "is fixed at 0.0 in the study; leave it out"),
        ([GOOD[1], GOOD[1]], "search.enqueue.1", "is the same as search.enqueue.0"),
        ([3], "search.enqueue.0", "expected a table, got 3"),
        ("x", "search.enqueue", "expected a list, got 'x'"),
        ([{"x": [1]}], "search.enqueue.0.x", "expected"),
    ],
)
def test_study_enqueue_problems_are_listed(curve, tables, key, message):
    content = curve().content()
    _, problems = parse({**content, "fixed": {"nap": 0.0}, "search": {**content["search"], "enqueue": tables}}, "curve")
    assert {problem.key for problem in problems} == {key}
    assert message in problems[0].message


def test_grid_refuses_enqueue(curve):
    content = curve(space={"k": {"int": [1, 3]}, "x": {"choice": [0.5]}}).content()
    search = {**content["search"], "sampler": "grid", "enqueue": [{"k": 1}]}
    _, problems = parse({**content, "search": search}, "curve")
    assert [str(problem.message) for problem in problems] == [
        "the sampler grid visits every point anyway; leave it out"
    ]


WRONG = [
    ({"lr": 1}, "lr", "no such param"),
    ({"xx": 0.1}, "xx", "Did you mean x?"),
    ({"x": 1.5}, "x", "expected a value of float 0.0 .. 1.0, got '1.5'"),
    ({"x": True}, "x", "expected a value of float"),
    ({"x": float("nan")}, "x", "expected a value of float"),
    ({"x": None}, "x", "expected a value of float"),
    ({"k": 2.0}, "k", "expected a value of int 1 .. 5"),
    ({"k": 6}, "k", "expected a value of int 1 .. 5"),
    ({"shape": "round"}, "shape", 'expected a value of choice "flat", "late"'),
    ({"gain": 0.5}, "gain", "exists only where shape is 'late'; give shape too"),
    ({"gain": 0.5, "shape": "flat"}, "gain", "exists only where shape is 'late'; leave it out"),
    ({"nap": 0.0}, "nap", "is fixed at 0.5 in the study; leave it out"),
    ([GOOD[0], 3], "1", "expected a table of params by name, got '3'"),
    ("x", "-", "expected a table of params by name, got 'x'"),
]


@pytest.mark.parametrize(("found", "key", "message"), WRONG)
def test_unfit_params_are_named_by_key(curve, found, key, message):
    with pytest.raises(ParamsInvalid) as caught:
        checked_configurations(curve(fixed={"nap": 0.5}), found, "params.json")
    [problem] = caught.value.problems
    assert problem.key == key
    assert message in problem.message


def test_all_problems_are_listed_at_once(curve, config):
    with pytest.raises(ParamsInvalid, match="3 problems") as caught:
        api.run(curve(), config, enqueue=[{"x": 2, "k": 0}, {"y": 1}])
    assert [problem.key for problem in caught.value.problems] == ["0.x", "0.k", "1.y"]
    assert not config.outputs.exists()


def test_values_are_converted_to_the_space(curve):
    study = curve(space={"x": {"float": [0.0, 1.0], "step": 0.1}, "k": {"choice": [1.0, 2.0]}})
    [one] = checked_configurations(study, {"x": 1, "k": 2}, "-")
    assert (one, type(one["x"]), type(one["k"])) == ({"x": 1.0, "k": 2.0}, float, float)
    assert checked_configurations(study, {"x": 0.3}, "-") == [{"x": 0.3}]
    with pytest.raises(ParamsInvalid, match="step"):
        checked_configurations(study, {"x": 0.35}, "-")


@pytest.mark.slow
def test_enqueue_file_from_command_line(tmp_path, curve):
    from typer.testing import CliRunner

    file = tmp_path / "params.json"
    file.write_text(json.dumps(GOOD))
    arguments = ["run", "--study", str(curve().root / "studies" / "curve.toml"), "--backend", "local", "--trials", "3"]
    arguments += ["--storage", f"sqlite:///{tmp_path / 'hpo.db'}", "--outputs", str(tmp_path / "o"), "--json"]
    done = CliRunner().invoke(app, [*arguments, "--enqueue", str(file)])
    trials = json.loads(done.stdout)["trials"]
    assert [trial["params"]["x"] for trial in trials][:2] == [0.3, 0.5]


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "cannot read"), ("{", "it is not JSON"), ("[" * 10**5, "its JSON is nested too deeply")],
)
def test_unreadable_enqueue_file_is_refused(tmp_path, curve, text, message):
    file = tmp_path / "params.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UsageError, match=message):
        api.read_configurations(curve(), file)
