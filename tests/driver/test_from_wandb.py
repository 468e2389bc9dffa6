"""A W&B sweep becomes a study that trains the sweep's program with the same arguments."""

from __future__ import annotations

import json

import pytest
import yaml
from typer.testing import CliRunner

import hpo
from hpo import Choice, Float, Int, RunConfig, StudyInvalid, UsageError, api
from hpo.cli.main import app
from hpo.study.loading import check

SWEEP = """
program: train.py
name: My Sweep
method: bayes
metric: {name: val_loss, goal: minimize, target: 0.001}
run_cap: 3
early_terminate: {type: hyperband, min_iter: 2, eta: 2}
parameters:
  learning-rate: {distribution: log_uniform_values, min: 1e-4, max: 0.1}
  layers: {min: 1, max: 4}
  dropout: {distribution: q_uniform, q: 0.1, min: 0.0, max: 0.5}
  nesterov: {values: [true, false]}
  optimizer: {value: adam}
  epochs: {value: 4}
  seed: {values: [1, 2, 3]}
"""

PROGRAM = """
import json, sys
given = dict(one.removeprefix("--").split("=") for one in sys.argv[1:])
assert given["nesterov"] in ("True", "False") and given["optimizer"] == "adam", given
for epoch in range(int(given["epochs"])):
    loss = float(given["learning-rate"]) + int(given["seed"]) / (epoch + 1)
    print(json.dumps({"val_loss": loss}), flush=True)
"""


@pytest.fixture
def convert(tmp_path):
    """Returns a function that writes a sweep's study, its keys given as they differ from `SWEEP`."""
    (tmp_path / "train.py").write_text(PROGRAM)

    def convert(**changed):
        sweep = {key: one for key, one in {**yaml.safe_load(SWEEP), **changed}.items() if one is not None}
        (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(sweep))
        written = api.init_from_wandb(tmp_path / "sweep.yaml", tmp_path)
        checked = check(written.folder / written.files[0])
        assert checked.study is not None, checked.problems
        return checked.study, "\n".join(written.remarks)

    return convert


def test_sweep_becomes_a_study(convert):
    study, remarks = convert()
    assert study.name == "my-sweep"
    assert study.space == {
        "learning_rate": Float(1e-4, 0.1, log=True),
        "layers": Int(1, 4),
        "dropout": Float(0.0, 0.5, step=0.1),
        "nesterov": Choice(["True", "False"]),
    }
    assert study.fixed == {"optimizer": "adam"}
    objective = study.objective
    assert (objective.metric, objective.direction, objective.epoch) == ("val_loss", "minimize", "last")
    search = study.search
    assert (search.sampler, search.trials, search.budget, search.until) == ("gp", 3, 4, 0.001)
    assert (search.pruner, search.pruner_options) == (
        "successive-halving",
        {"reduction_factor": 2, "min_resource": 2},
    )
    assert "learning-rate: is called learning_rate in the study" in remarks
    assert "seed: is not searched" in remarks
    assert 'print(json.dumps({"val_loss": value}))' in remarks


def test_sweeps_program_trains(convert, tmp_path):
    study, _ = convert(method="random")
    config = RunConfig(storage=f"sqlite:///{tmp_path}/a.db", outputs=tmp_path, work=tmp_path / "w", backend="local")
    assert [trial.state for trial in hpo.run(study, config, trials=2).trials] == ["complete", "complete"]


@pytest.mark.parametrize(
    ("table", "wanted"),
    [
        ({"min": 0, "max": 1.0}, Float(0, 1)),
        ({"distribution": "log_uniform", "min": 0, "max": 1}, Float(1.0, 2.718281828459045, log=True)),
        ({"distribution": "q_uniform", "min": 5, "max": 127, "q": 16}, Int(0, 128, step=16)),
        ({"distribution": "q_log_uniform_values", "min": 8, "max": 512}, Int(8, 512, log=True)),
        ({"distribution": "int_uniform", "min": 1.0, "max": 3}, Int(1, 3)),
        ({"values": ["a", 2, 0.5]}, Choice(["a", 2, 0.5])),
    ],
)
def test_distributions(convert, table, wanted):
    assert convert(parameters={"x": table})[0].space == {"x": wanted}


def test_what_is_changed_is_said(convert):
    _, remarks = convert(
        parameters={
            "x": {"values": [1, 2], "probabilities": [0.9, 0.1]},
            "y": {"distribution": "log_uniform", "min": 0.0001, "max": 0.1},
        },
        run_cap=None,
        controller={"type": "local"},
        program="absent.py",
    )
    for said in (
        "parameters.x: its probabilities are not taken",
        "it goes from 1.0001 to 1.10517",
        "trials: the sweep does not end by itself; 20 are trained.",
        "budget: the sweep does not say how many steps a run has; 10 is the most",
        "controller: is not taken",
        "there is no file absent.py",
        "The program gets no seed",
    ):
        assert said in remarks


def test_grid_ends_with_its_last_point(convert):
    study, _ = convert(method="grid", run_cap=None, parameters={"x": {"values": [1, 2]}, "y": {"min": 1, "max": 3}})
    assert (study.search.sampler, study.search.trials) == ("grid", 6)


def test_commands_macros(convert):
    command = ["${env}", "python3", "-m", "mine", "${args_no_hyphens}", "--json={}"]
    study, _ = convert(program=None, command=command, parameters={"folder": {"min": 1, "max": 3}})
    assert study.command_.run == ("python3", "-m", "mine", "folder={folder_}", "--json={{}}")


def test_hyperbands_rungs(convert):
    study, _ = convert(early_terminate={"type": "hyperband", "max_iter": 27, "s": 2})
    assert study.search.pruner_options == {"reduction_factor": 3, "min_resource": 3}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"method": "bayesian"}, "expected one of bayes, random, grid, got 'bayesian'. Did you mean bayes?"),
        ({"metric": None}, "metric  is missing; name what the program reports"),
        ({"metric": {"name": "a", "goal": "max"}}, "expected minimize or maximize, got 'max'"),
        ({"early_terminate": {"type": "median"}}, "expected type: hyperband"),
        ({"program": None}, "name the file of the training"),
        ({"command": ["${program}", "${args_json}"]}, "hpo does not fill in ${args_json}"),
        ({"command": ["${program}", "${args_no_boolean_flags}"]}, "leaves parameters.nesterov out where false"),
        ({"parameters": {"x": {"value": 1}}}, "there is nothing to search"),
        ({"parameters": {"x": {"parameters": {}}}}, "hpo has no nested ones"),
        ({"parameters": {"x": {"mu": 0, "sigma": 1}}}, "distribution 'normal' is unknown here (distributions: const"),
        ({"parameters": {"x": {"distribution": "q_log_uniform", "min": 1, "max": 5, "q": 2}}}, "no steps on a log"),
        ({"parameters": {"x": {"min": "small", "max": 1}}}, "expected a number as min, got 'small'"),
        ({"parameters": {"x": {"distribution": "log_uniform", "min": 1, "max": 9999}}}, "its bounds are too large"),
        ({"parameters": {"x": {"values": [None, 1]}}}, "expected numbers, texts, true or false, got None"),
        ({"parameters": {"x": 3}}, "expected a table, such as {values: [1, 2]}, got 3"),
        ({"parameters": {"a-b": {"value": 1}, "a_b": {"value": 2}}}, "would be called a_b in the study"),
    ],
)
def test_what_hpo_lacks_is_named(convert, changed, said, tmp_path):
    with pytest.raises(StudyInvalid) as found:
        convert(**changed)
    assert said in str(found.value)
    assert not (tmp_path / "studies").exists()


def test_no_file_is_replaced(convert):
    convert()
    with pytest.raises(UsageError, match=r"my-sweep\.toml exists; nothing was written"):
        convert()


@pytest.mark.parametrize(
    ("text", "said"), [("a: [", "is no YAML: "), ("- 1", "is no sweep: expected a table"), (None, "cannot read ")]
)
def test_unreadable_sweeps(tmp_path, text, said):
    if text is not None:
        (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(UsageError, match=said):
        api.init_from_wandb(tmp_path / "s.yaml", tmp_path)


def test_command_writes_and_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    printed = CliRunner().invoke(app, ["init", "--from-wandb", "sweep.yaml"]).stdout
    assert "studies/my-sweep.toml" in printed
    assert "- program: there is no file train.py" in printed
    assert "hpo run --study my-sweep" in printed
    said = json.loads(
        CliRunner().invoke(app, ["init", "sub", "--from-wandb", "sweep.yaml", "-s", "b", "--json"]).stdout
    )
    text = (tmp_path / "sub" / "studies" / "b.toml").read_text()
    assert all(f"# {remark}\n" in text for remark in said["remarks"])


@pytest.mark.parametrize(
    ("given", "said"), [((), "name the folder of the new project"), (("a", "-s", "b"), "--study belongs to")]
)
def test_arguments_of_init(given, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert said in str(CliRunner().invoke(app, ["init", *given]).exception)
