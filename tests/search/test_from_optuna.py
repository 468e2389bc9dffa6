"""`hpo init --from-optuna`: the space that an objective suggests, with its conditions, as a study that runs."""

from __future__ import annotations

import itertools
import json

import pytest
from typer.testing import CliRunner

import hpo
from hpo import Choice, Float, Int, StudyInvalid, UsageError, api
from hpo.cli.main import app
from hpo.search import tracing
from hpo.study.loading import check

NAMES = (f"objective{number}" for number in itertools.count())
"""A module name for each test: a process imports a name once."""


@pytest.fixture
def trace(tmp_path, monkeypatch):
    """Returns a function that writes an objective of these lines and returns its study and what is said."""
    monkeypatch.syspath_prepend(tmp_path)

    def trace(body, before=""):
        name = next(NAMES)
        lines = "".join(f"    {line}\n" for line in body.strip().splitlines())
        text = f"import time\nimport optuna\n{before}\n\ndef objective(trial):\n{lines}"
        (tmp_path / f"{name}.py").write_text(text)
        written = api.init_from_optuna(f"{name}:objective", tmp_path)
        checked = check(written.folder / written.files[0])
        assert checked.study is not None, checked.problems
        return checked.study, "\n".join(written.remarks)

    return trace


USUAL = """
layers = trial.suggest_int("n_layers", 1, 3)
units = [trial.suggest_int(f"n_units_l{i}", 4, 64, log=True) for i in range(layers)]
opt = trial.suggest_categorical("opt", ["sgd", "adam", None])
lr = trial.suggest_float("lr", 1e-4, 0.1, log=True)
if opt == "sgd" and layers > 1:
    trial.suggest_float("momentum", 0, 0.9, step=0.1)
for step in range(2):
    trial.report(lr + step, step)
    if trial.should_prune():
        raise optuna.TrialPruned
return lr + sum(units)
"""


def test_loops_and_branches_are_conditions(trace):
    study, said = trace(USUAL, before='def main():\n    optuna.create_study(direction="maximize", study_name="My MLP")')
    assert study.space == {
        "n_layers": Int(1, 3),
        "n_units_l0": Int(4, 64, log=True),
        "n_units_l1": Int(4, 64, log=True, when={"n_layers": ">= 2"}),
        "n_units_l2": Int(4, 64, log=True, when={"n_layers": 3}),
        "opt": Choice(["sgd", "adam", "None"]),
        "lr": Float(1e-4, 0.1, log=True),
        "momentum": Float(0, 0.9, step=0.1, when={"n_layers": ">= 2", "opt": "sgd"}),
    }
    assert (study.name, study.objective.direction) == ("my-mlp", "maximize")
    assert (study.search.budget, study.search.pruner, study.objective.epoch) == (3, "median", "last")
    assert "each until its first report; what it suggests later is not in it" in said
    assert "budget: 3 steps, as the objective reports 2 times" in said
    assert "direction" not in said


@pytest.mark.parametrize(("after", "budget"), [("return x", 1), ("trial.report(x, 0)", 100)])
def test_a_slow_objective_reports_only_if_it_says_so(trace, monkeypatch, after, budget):
    monkeypatch.setattr("hpo.search.tracing.SECONDS_OF_ONE", 0.01)
    slow = "x = trial.suggest_categorical('x', [1])\nwhile True: pass"
    assert trace(f"{slow}\n{after}")[0].search.budget == budget


def test_traced_study_trains(trace, config):
    study, _ = trace(USUAL)
    trials = hpo.run(study, config, trials=8).trials
    assert {trial.state for trial in trials} <= {"complete", "pruned"}
    assert {one.params["n_layers"] for one in trials} == {1, 2, 3}


def test_without_reports_there_is_one_step(trace):
    study, said = trace("return trial.suggest_float('x', 0, 1)")
    assert (study.search.budget, study.search.pruner) == (1, "none")
    assert "budget: 1 step, as the objective reports nothing" in said
    assert "direction: is minimize" in said


@pytest.mark.parametrize(
    ("body", "when"),
    [
        ("k = trial.suggest_int('k', 1, 5)\nif k <= 2: trial.suggest_float('y', 0, 1)", {"k": "<= 2"}),
        ("k = trial.suggest_int('k', 1, 5)\nif k % 2: trial.suggest_float('y', 0, 1)", {"k": [1, 3, 5]}),
        ("b = trial.suggest_categorical('b', [True, False])\nif b: trial.suggest_float('y', 0, 1)", {"b": True}),
        (
            "a = trial.suggest_categorical('a', [1, 2, 3])\n"
            "b = trial.suggest_float('b', 0, 1) if a > 1 else None\n"
            "if a == 3: trial.suggest_float('y', 0, 1)",
            {"a": 3},
        ),
    ],
)
def test_conditions(trace, body, when):
    study, _ = trace(f"{body}\nreturn 1.0")
    assert study.space["y"] == Float(0, 1, when=when)


def test_condition_on_a_range_is_said(trace):
    study, said = trace("x = trial.suggest_float('x', 0, 1)\nif x > 0.5: trial.suggest_float('y', 0, 1)\nreturn x")
    [limit] = study.space["y"].when["x"]
    assert limit.startswith(("> 0.4", "> 0.3"))  # rather too wide
    assert "y: its condition on x is known from samples only" in said


def test_alternatives_are_too_wide(trace):
    study, said = trace(
        "a, b = (trial.suggest_categorical(n, [1, 2]) for n in 'ab')\n"
        "if a == 1 or b == 1: trial.suggest_float('y', 0, 1)\nreturn 1.0"
    )
    assert study.space["y"].when == {}
    assert "y: is not suggested in every trial, and no condition was found" in said


def test_what_ends_calls_is_said(trace, monkeypatch):
    monkeypatch.setattr(tracing, "SECONDS_OF_ONE", 0.05)
    monkeypatch.setattr(tracing, "QUIET", 12)
    study, said = trace(
        """
kind = trial.suggest_categorical("kind", ["prunes", "fails", "waits", "returns"])
if kind == "prunes": raise optuna.TrialPruned
if kind == "fails": raise ValueError("no such file")
if kind == "waits": time.sleep(5)
return trial.suggest_float("x", 0, 1)
"""
    )
    assert study.space["x"].when == {}  # calls that ended early say nothing of what comes later
    assert "Ended after 0.05 s without a report: " in said
    assert "of these calls, the first by 'ValueError: no such file'" in said
    assert "Ended by TrialPruned before a report: " in said


def test_different_ranges_are_said(trace):
    study, said = trace(
        "a = trial.suggest_categorical('a', [1, 2])\nreturn trial.suggest_float('x', 0, 1 if a == 1 else 5)"
    )
    assert study.space["x"] == Float(0, 5)
    assert "x: is suggested from different ranges" in said


@pytest.mark.parametrize(
    ("body", "error", "said"),
    [
        ("return 1.0", UsageError, "suggested no param in 41 calls. Let it call trial.suggest_*"),
        ("raise OSError('no data')", UsageError, "it raised 'OSError: no data'"),
        ("return trial.suggest_categorical('x', [object()])", StudyInvalid, "hpo has no text for the choice"),
        ("return trial.suggest_int('seed', 0, 9)", StudyInvalid, "a seed is not a hyperparameter"),
        ("return trial.suggest_int('a-b', 0, 9) + trial.suggest_int('a_b', 0, 9)", StudyInvalid, "rename one"),
    ],
)
def test_what_hpo_lacks_is_named(trace, body, error, said):
    with pytest.raises(error) as found:
        trace(body)
    assert said in str(found.value)


def test_command_traces(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    name = next(NAMES)
    (tmp_path / f"{name}.py").write_text(
        "def objective(trial):\n    print('loud')\n    return trial.suggest_float('x', 0, 1)\ndef train(lr, ctx): ...\n"
    )
    run = CliRunner().invoke(app, ["init", "--from-optuna", f"{name}:objective", "-s", "mine", "--json"])
    assert json.loads(run.stdout)["files"] == ["studies/mine.toml"]
    error = CliRunner().invoke(app, ["init", "--from-optuna", f"{name}:train"]).exception
    assert "is no objective of Optuna's; expected a function objective(trial)" in str(error)
    error = CliRunner().invoke(app, ["init", "--from-optuna", "a:b", "--from-wandb", "c"]).exception
    assert str(error) == "--from-optuna and --from-wandb exclude each other; give one of them"


TWO_VALUES = "x = trial.suggest_float('x', 0, 1)\nreturn x, 1 - x"


def test_several_directions(trace):
    study, said = trace(TWO_VALUES, before="optuna.create_study(directions=['maximize', 'minimize'])")
    assert str(study.objective) == "maximize value_0, minimize value_1"
    assert (study.search.budget, study.search.pruner, study.objective.epoch) == (1, "none", "last")
    assert "metrics: what the objective returns, in this order" in said


@pytest.mark.parametrize("before", ["", "optuna.create_study(directions=['maximize'])"])
def test_unknown_directions(trace, before):
    with pytest.raises(StudyInvalid, match="returns 2 values, so the module has to say create_study"):
        trace(TWO_VALUES, before=before)
