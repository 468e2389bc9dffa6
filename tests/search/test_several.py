"""Searches with several objectives: equal to Optuna's own, and a function of the seeds whatever the timing."""

from __future__ import annotations

import json
import random

import optuna
import pytest
from searches import cost, in_random_order, one_by_one, open_source, plain_optuna, train, value

import hpo
from hpo import api
from hpo.core.errors import StudyChanged, StudyInvalid, UsageError
from hpo.core.records import Job
from hpo.store import prepare_optuna
from hpo.store.optuna_storage.studies import OptunaStudies
from hpo.study import front, incumbent, json_schema, not_reproducible, sort_best_first
from hpo.study.objective import SEVERAL

TWO = {"metrics": {"val": "maximize", "cost": "minimize"}, "metric": "val"}
OPTIONS = {
    "tpe": {"n_startup_trials": 5},
    "gp": {"n_startup_trials": 6},
    "nsgaii": {"population_size": 4},
    "nsgaiii": {"population_size": 4, "dividing_parameter": 2},
}
GRID = {"x": {"float": [0.0, 1.0], "step": 0.25}, "k": {"int": [1, 4]}, "gain": {"choice": [0.0, 0.5]}}
TRIALS = 12


@pytest.fixture
def two(curve):
    """Returns the toy study with two objectives under a sampler."""

    def made(sampler="tpe", **search):
        options = OPTIONS.get(sampler, {})
        search = {"sampler": sampler, "sampler_options": options, "pruner": "none", **search}
        return curve(objective=TWO, search=search, **({"space": GRID} if sampler == "grid" else {}))

    return made


@pytest.fixture
def opened(tmp_path):
    """Returns an empty Optuna database at each call."""
    made = []

    def database():
        made.append(OptunaStudies(f"sqlite:///{tmp_path / f'{len(made)}.db'}", prepare_optuna))
        return made[-1]

    yield database
    for one in made:
        one.close()


def table(durable, study):
    return [(t.number, t.state, t.params, t.vector) for t in durable.find(study.name).trials()]


@pytest.mark.slow
@pytest.mark.parametrize("sampler", SEVERAL)
def test_equal_to_optuna_alone(opened, two, sampler):
    study, durable = two(sampler, lag=1), opened()
    one_by_one(open_source(durable, study, TRIALS))
    assert table(durable, study) == plain_optuna(study, TRIALS)
    assert [one.name.lower() for one in durable.find(study.name).directions] == ["maximize", "minimize"]


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["tpe", "nsgaii", "nsgaiii"])
def test_a_function_of_the_seeds(opened, two, sampler):
    study, tables = two(sampler, lag=4), []
    for run in (0, 3):
        durable = opened()
        in_random_order(open_source(durable, study, TRIALS), 1 + run, random.Random(run))
        tables.append(table(durable, study))
    cut = opened()
    for _ in range(3):  # drivers that each leave a trial open
        source = open_source(cut, study, TRIALS)
        for upto in (None, 2):
            if isinstance(job := source.ask(), Job):
                train(source, job, upto)
    one_by_one(open_source(cut, study, TRIALS))
    assert len(tables[0]) == TRIALS
    assert tables[0] == tables[1] == table(cut, study)


def test_the_front_of_a_search(opened, two):
    study, durable = two("random", lag=1), opened()
    one_by_one(open_source(durable, study, TRIALS))
    trials = durable.find(study.name).trials()
    best = {
        one.number
        for one in trials
        if not any(a.vector[0] >= one.vector[0] and a.vector[1] <= one.vector[1] and a is not one for a in trials)
    }
    assert {one.number for one in front(trials, study)} == best
    assert 1 < len(best) < TRIALS
    assert {one.number for one in sort_best_first(trials, study)[: len(best)]} == best
    assert incumbent(trials, study) is None


def test_values_of_all_objectives_are_stored(opened, two):
    study, durable = two("random", lag=1), opened()
    one_by_one(open_source(durable, study, 1))
    (trial,) = durable.find(study.name).trials()
    assert trial.vector == (max(value(trial.params, step) for step in range(1, 6)), cost(trial.params))
    assert trial.value == trial.vector[0]
    assert trial.plain()["vector"] == trial.vector


def test_one_objective_has_no_vector(opened, curve):
    study, durable = curve(search={"pruner": "none", "sampler": "random"}), opened()
    one_by_one(open_source(durable, study, 1))
    (trial,) = durable.find(study.name).trials()
    assert trial.vector == ()
    assert "vector" not in trial.plain()
    assert front([trial], study) == []


def test_ask_and_tell(two):
    search = hpo.Search(two("nsgaii", trials=6))
    while (trial := search.ask()) is not None:
        with pytest.raises(UsageError, match="metrics lacks cost, another objective of the study"):
            search.tell(trial, 0.5)
        search.tell(trial, 0.5, metrics={"cost": trial.params["x"]})
    assert [one.vector for one in search.trials] == [(0.5, one.params["x"]) for one in search.trials]
    assert search.incumbent is None


def test_in_python(curve):
    made = hpo.Study(
        name="two",
        trainable="toys.curve:train",
        objective=[hpo.maximize("val"), hpo.minimize("cost")],
        space={"x": hpo.Float(0.0, 1.0)},
    )
    assert made.objective.metrics == ("val", "cost")
    assert (made.search.sampler, made.search.pruner, made.promotion.top) == ("tpe", "none", 8)
    again = hpo.Study.model_validate(made.content())
    assert (again.digest, again.objective) == (made.digest, made.objective)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"search": {"pruner": "median"}}, "search.pruner *'median' compares trials by one value"),
        ({"search": {"sampler": "tpe.gp"}}, "search.sampler"),
        ({"search": {"sampler": "cmaes"}}, "'cmaes' is for one objective; for several: tpe, gp, nsgaii"),
        ({"search": {"until": 0.9}}, "search.until *is for one objective"),
        ({"search": {"constraints": ["cost"]}}, "'cost' is an objective; it cannot also be a constraint"),
        ({"promotion": {"race": {"share": 0.4}}}, "promotion.race *ranks by one value"),
        ({"promotion": {"prefer": "cots <= 3"}}, r"no such objective 'cots' \(objectives: val, cost\). Did you mean"),
        ({"promotion": {"prefer": "cost >= 3"}}, "cost is minimized, so a bound is written cost <= 3"),
        ({"promotion": {"prefer": "best"}}, "expected 'knee', a bound such as"),
        ({"promotion": {"prefer": {"weights": {"val": 1.0}}}}, "lacks cost; give every objective a weight, or 0"),
        ({"promotion": {"prefer": {"weights": {"val": 0, "cost": 0}}}}, "all weights are 0"),
        ({"objective": {"metrics": {"val": "maximise", "cost": "minimize"}}}, "Did you mean maximize"),
        ({"objective": {"metrics": [["val", "maximize"], ["val", "minimize"]]}}, "'val' is given twice"),
        ({"objective": [hpo.maximize("val"), hpo.minimize("val")]}, "'val' is given twice"),
        ({"objective": [hpo.maximize("val", limit=1.0), hpo.minimize("cost")]}, "limit is for one objective"),
        ({"objective": {"metrics": ["val", "cost"]}}, "expected a table of directions by metric"),
        ({"objective": {"metric": "cost", "metrics": TWO["metrics"]}}, "give metric and direction, or metrics"),
        ({"objective": hpo.maximize("val"), "promotion": {"prefer": "knee"}}, "chooses from a front, which one"),
    ],
)
def test_what_cannot_be(tables, message):
    content = {
        "name": "two",
        "trainable": "toys.curve:train",
        "objective": [hpo.maximize("val"), hpo.minimize("cost")],
        "space": {"x": hpo.Float(0.0, 1.0)},
    }
    with pytest.raises(StudyInvalid, match=message):
        hpo.Study(**content | tables)


@pytest.mark.parametrize("prefer", [None, "knee", "cost <= 3", {"weights": {"val": 1, "cost": 3}}])
def test_the_file_and_back(curve, tmp_path, prefer):
    promotion = {"seeds": [42, 43]} | ({"prefer": prefer} if prefer else {})
    study = curve(name="two", objective=TWO, search={"pruner": "none", "sampler": "nsgaii"}, promotion=promotion)
    (tmp_path / "studies").mkdir()
    study.to_toml(tmp_path / "studies")
    again = hpo.load_study(str(tmp_path / "studies" / "two.toml"), to_train=False)
    assert again.content() == study.content()


@pytest.fixture
def searched(curve, config):
    """A searched study whose objectives are the toy's value and its loss, which contradict each other in nothing."""
    metrics = {"metrics": {"val": "maximize", "loss": "maximize"}, "metric": "val"}
    study = curve(name="two", objective=metrics, search={"pruner": "none", "sampler": "random", "trials": 4})
    return study, hpo.run(study, config)


def test_what_a_search_says(searched, config):
    study, outcome = searched
    assert outcome.incumbent is None
    assert [one.number for one in outcome.front] == [0, 1, 2, 3]  # what one has more of the other has less of
    assert "Front: 4 trials on seed 41 that no other trial dominates: 0 (val " in str(outcome)
    assert list(outcome.frame().columns[:4]) == ["number", "state", "value", "loss"]
    (progress,) = hpo.status(study, config)
    assert progress.objective == "maximize val, maximize loss"
    assert [one["number"] for one in progress.plain()["front"]] == [0, 1, 2, 3]
    json.dumps(progress.plain())


def test_a_resumed_search_trains_nothing(searched, config):
    study, outcome = searched
    again = hpo.run(study, config)
    assert [one.vector for one in again.trials] == [one.vector for one in outcome.trials]


@pytest.mark.usefixtures("searched")
def test_other_objectives_are_other_studies(config, curve):
    other = curve(name="two", objective={"metric": "val"}, search={"pruner": "none", "sampler": "random"})
    with pytest.raises(StudyChanged, match="maximize val, maximize loss, best epoch"):
        hpo.run(other, config)


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda study, config: hpo.run(study, config, patience=3), "a search that ends by a value"),
        (lambda study, config: api.import_trials(study, config, source="sqlite:///x.db"), "hpo import"),
        (lambda study, config: hpo.compare(0, 1, study, config), "hpo compare"),
        (lambda study, config: api.instability(study, config), "hpo instability"),
    ],
)
def test_what_needs_one_value(searched, config, call, what):
    study, _ = searched
    with pytest.raises(UsageError, match=rf"{what}.* compares trials by one value, but study 'two' has 2 objectives"):
        call(study, config)


def test_a_missing_objective(config, curve):
    study = curve(name="two", objective=TWO, search={"pruner": "none", "sampler": "random", "trials": 1})
    (trial,) = hpo.run(study, config).trials
    assert "the objective's metric 'cost' was not reported at step 1; reported: loss, pid, val" in trial.error


def train_tuple(x: float):
    return x, 1.0 - x


def train_triple(x: float):
    return x, 1.0 - x, 0.0


def objective(trial):
    x = trial.suggest_float("x", 0.0, 1.0)
    return x, 1.0 - x


@pytest.mark.parametrize(
    ("trainable", "error"),
    [(train_tuple, None), (objective, None), (train_triple, "2 numbers in the order a, b, got 3 values")],
)
def test_a_function_that_returns_values(config, trainable, error):
    several = [hpo.maximize("a"), hpo.minimize("b")]
    search = {"trials": 2, "budget": 1, "sampler": "random"}
    study = hpo.Study(name="t", trainable=trainable, objective=several, space={"x": hpo.Float(0, 1)}, search=search)
    for trial in hpo.run(study, config).trials:
        assert trial.vector == ((trial.params["x"], 1.0 - trial.params["x"]) if error is None else ())
        assert error is None or error in trial.error


def prunes_itself(trial):
    raise optuna.TrialPruned


def test_a_trial_cannot_prune_itself(config):
    several = [hpo.maximize("a"), hpo.minimize("b")]
    search = {"trials": 1, "budget": 1, "sampler": "random"}
    study = hpo.Study(name="t", trainable=prunes_itself, objective=several, space={"x": hpo.Float(0, 1)}, search=search)
    (trial,) = hpo.run(study, config).trials
    assert trial.state == "failed"
    assert "pruned itself, which a study with several objectives does not support" in trial.error


@pytest.mark.slow
def test_replicates_and_folds(curve, config):
    metrics = {"metrics": {"val": "maximize", "loss": "maximize"}, "metric": "val"}
    search = {"pruner": "none", "sampler": "random", "trials": 1, "seeding": "replicated", "replicates": 2}
    study = curve(name="two", objective=metrics, search=search | {"lambda": 1.0})
    (trial,) = hpo.run(study, config).trials
    values = [one.metrics for one in hpo.show(study, 0, config)[1]]
    for name, found in zip(("val", "loss"), trial.vector, strict=True):
        assert found == pytest.approx(min(one[name] for one in values))  # of two values mean - sigma


def test_an_objective_that_is_a_time(curve):
    study = curve(name="two", objective={**TWO, "ignore": ["cost"]}, search={"pruner": "none"})
    assert not_reproducible([], study) == ("cost is an objective, and differs between any two trainings",)


@pytest.mark.slow
@pytest.mark.ray
def test_ray_gives_the_same(curve, tmp_path, ray_slots):
    metrics = {"metrics": {"val": "maximize", "loss": "maximize"}, "metric": "val"}
    search = {"pruner": "none", "sampler": "nsgaii", "sampler_options": {"population_size": 3}, "trials": 8, "lag": 2}
    study, found = curve(name="two", objective=metrics, search=search, promotion={"top": 3}), []
    for backend in ("local", "ray"):
        place = {"outputs": tmp_path / backend, "storage": f"sqlite:///{tmp_path / backend}.db", "backend": backend}
        config = hpo.RunConfig(**place)
        trials = hpo.run(study, config).trials
        promoted = hpo.promote(study, config)
        found.append(([(one.params, one.vector) for one in trials], promoted.rows(), promoted.report.over_seeds))
    assert found[0] == found[1]


FORMS = [
    {"metrics": {"a": "maximize", "b": "minimize"}},
    {"metric": "a", "direction": "minimize"},
    [{"metric": "a"}, {"metric": "b", "direction": "minimize"}],
]


@pytest.mark.parametrize("objective", FORMS)
@pytest.mark.parametrize("prefer", ["knee", {"weights": {"a": 1, "b": 2}}])
def test_the_json_schema(objective, prefer):
    jsonschema = pytest.importorskip("jsonschema")
    content = {"name": "t", "trainable": "m:f", "space": {"x": {"float": [0.0, 1.0]}}, "search": {"budget": 1}}
    schema = json_schema()
    jsonschema.validate(content | {"objective": objective, "promotion": {"prefer": prefer}}, schema)
    for wrong in ({"objective": {"direction": "minimize"}}, {"objective": objective, "promotion": {"prefer": 3}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(content | wrong, schema)
