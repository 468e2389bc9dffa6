"""Objectives of Optuna run unchanged as trainables of a study."""

from __future__ import annotations

import random

import optuna
import pytest

import hpo
from hpo.core.protocols import Resources, TrainableRef
from hpo.study.params import arguments_of
from hpo.training import TrainingRun
from hpo.training.trial import ObjectiveTrial


def objective(trial: optuna.Trial) -> float:
    """A typical objective: a condition, a loop of params, reports, an attribute, the global generators."""
    layers = trial.suggest_int("n_layers", 1, 3)
    units = [trial.suggest_int(f"n-units-l{i}", 4, 64, log=True) for i in range(layers)]
    kind = trial.suggest_categorical("kind", [None, "sgd", len])
    momentum = trial.suggest_float("momentum", 0, 0.9) if kind == "sgd" else 0
    value = sum(units) * (1 + momentum) + hpo.seeded(0) + random.random()
    trial.set_constraint("size", sum(units) - 500)
    for step in (0, 10, 10, 20):
        trial.report(value + step, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    trial.set_user_attr("units", sum(units))
    trial.set_user_attr("note", "text")
    return value


SPACE = {
    "n_layers": hpo.Int(1, 3),
    "n_units_l0": hpo.Int(4, 64, log=True),
    "n_units_l1": hpo.Int(4, 64, log=True, when={"n_layers": ">= 2"}),
    "n_units_l2": hpo.Int(4, 64, log=True, when={"n_layers": [3]}),
    "kind": hpo.Choice(["None", "sgd", "len"]),
    "momentum": hpo.Float(0, 0.9, when={"kind": "sgd"}),
}


def study(train, space=None, **search):
    search = {"trials": 8, "budget": 4, "pruner": "none", **search}
    return hpo.Study(
        name="mine",
        trainable=train,
        objective=hpo.maximize("value", epoch="last"),
        space=space or {"x": hpo.Float(0, 1)},
        search=search,
        promotion={"top": 1},
    )


def run(train, config, space=None, **search):
    return hpo.run(study(train, space, **search), config).trials


def test_objective_runs_unchanged(config):
    trials = run(objective, config, SPACE, constraints=["size"])
    assert {trial.state for trial in trials} == {"complete"}
    assert {len([name for name in one.params if "units" in name]) - one.params["n_layers"] for one in trials} == {0}
    for trial in trials:
        assert sorted(trial.values) == [1, 2, 3, 4]  # three distinct steps, and the returned value
        assert trial.value == trial.values[4] == trial.values[1]


def test_attributes_are_metrics(tmp_path):
    params = {"n_layers": 1, "n_units_l0": 8, "kind": "None"}
    ref = TrainableRef(path="m:f", root=str(tmp_path), objective=hpo.Objective(metric="value"), function=objective)
    training = TrainingRun(hpo.Job(trial=0, params=params, seed=7, budget=4), ref, Resources(), tmp_path)
    updates = [training.advance() for _ in range(5)]
    training.close()
    assert updates[-1].status is hpo.Status.COMPLETE, updates[-1].error
    assert [set(one.metrics) for update in updates for one in update.reports] == [
        {"value", "size"},
        {"value", "size"},
        {"value", "size"},
        {"value", "size", "units"},
    ]


def test_constraints_count(config):
    def constrained(trial):
        trial.set_constraint("size", trial.suggest_float("x", 0, 1) - 0.5)
        return trial.params["x"]

    found = hpo.run(study(constrained, constraints=["size"], trials=6), config)
    assert found.incumbent.value == max(one.value for one in found.trials if one.value <= 0.5)


@pytest.mark.slow
def test_bad_trials_are_pruned(config):
    ran = []

    def pruned(trial):
        x = trial.suggest_float("x", 0, 1)
        for step in range(3):
            trial.report(x, step)
        ran.append(x)
        return x

    trials = run(pruned, config, pruner="median", trials=12, lag=1)
    states = [trial.state for trial in trials]
    assert states.count("pruned") > 1
    assert len(ran) < 12


def test_pruned_by_itself(config):
    def refuses(trial):
        if trial.suggest_float("x", 0, 1) < 2:
            raise optuna.TrialPruned
        return 1.0

    assert [trial.state for trial in run(refuses, config, trials=2)] == ["pruned"] * 2


def test_other_functions_have_the_trial(config):
    def train(params: dict, ctx: hpo.Context):
        return ctx.trial.suggest_float("x", 0, 1) + ctx.trial.number

    [first, second] = run(train, config, trials=2)
    assert (first.value, second.value) == (first.params["x"], second.params["x"] + 1)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (lambda trial: trial.suggest_float("y", 0, 1), "suggests 'y', which this trial does not have (params: x)"),
        (lambda trial: trial.suggest_float("x", 2, 3), "which is not within the objective's 2 .. 3"),
        (lambda trial: trial.suggest_int("x", 0, 1), "suggests 'x' as a whole number, the study has 0."),
        (lambda trial: trial.suggest_categorical("x", ["a"]), "in the study, which is none of the objective's ['a']"),
        (lambda trial: trial.study.best_value, "a trial in hpo has no 'study' (it has: datetime_start, number"),
        (lambda _: None, "an objective must return one number, not NoneType"),
        (lambda _: (1.0, 2.0), "an objective must return one number, not tuple"),
        (lambda trial: [trial.report(1.0, step) for step in range(4)] and 1.0, "set budget = 5 or more in [search]"),
    ],
)
def test_misfits_are_named(config, body, message):
    def fails(trial):
        return body(trial)

    with pytest.raises(hpo.HpoError, match="in a row") as caught:
        run(fails, config, trials=1, max_failures=1)
    assert message in str(caught.value)


def test_ambiguous_choices_are_refused():
    with pytest.raises(hpo.TrainableError, match="'k' is 'None' in the study, which is several of the objective's"):
        ObjectiveTrial({"k": "None"}, None).suggest_categorical("k", [None, "None"])


@pytest.mark.parametrize("takes", ["trial", "trial, seed", "trial, data=None"])
def test_signatures_of_objectives(takes):
    assert arguments_of(eval(f"lambda {takes}: 0"), "m:f").is_objective


@pytest.mark.parametrize("takes", ["trial, ctx", "lr, trial", "trial, lr"])
def test_other_signatures(takes):
    assert not arguments_of(eval(f"lambda {takes}: 0"), "m:f").is_objective


def test_trial_may_be_a_param():
    def train(trial: int):
        return trial

    assert not arguments_of(train, "m:f").is_objective
