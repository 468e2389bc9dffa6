"""The page on finished Optuna studies: its Python and its commands, run as they stand."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import optuna
import pytest
from typer.testing import CliRunner

from hpo.cli.main import app

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "finished-optuna-study.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [line[2:].split() for line in re.search(r"```console\n(.*?)```", PAGE, re.DOTALL)[1].splitlines()]


@pytest.mark.slow
def test_the_three_lines(tmp_path, config, monkeypatch):
    monkeypatch.chdir(tmp_path)
    script = types.ModuleType("__script__")
    script.config = config
    monkeypatch.setitem(sys.modules, "__script__", script)
    for block in PYTHON:
        exec(block.replace("top=5)", "top=5, config=config)"), script.__dict__)  # not on Ray, and not printed
    outcome = script.outcome
    assert isinstance(outcome.luck.luck, float)
    assert len(outcome.ranking.complete) == 5
    assert not outcome.report.warnings
    assert "Luck: the best value of study mine in sqlite:///old.db (Optuna)" in str(outcome)
    assert "source trial  seed 42" in str(outcome)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: words[5])
def test_the_commands(tmp_path, config, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    sampler = optuna.samplers.RandomSampler(seed=1)  # with others the best value may be below its mean: no luck
    study = optuna.create_study(study_name="old", storage="sqlite:///old.db", direction="maximize", sampler=sampler)

    def objective(trial):
        trial.suggest_categorical("shape", ["flat"])
        return trial.suggest_float("x", 0, 1) * trial.suggest_int("k", 1, 5)

    study.optimize(objective, n_trials=3)
    names = {"value": "score", "params_k": "depth"}
    study.trials_dataframe().rename(columns=names).to_csv("runs.csv", index=False)
    place = ["--storage", config.storage, "--outputs", "out", "--backend", "local"]
    result = CliRunner().invoke(app, [*command[1:], *place, "--studies", str(ROOT / "tests" / "project" / "studies")])
    assert result.exit_code == 0, result.output
    assert "Luck: the best value of study" in result.stdout, result.output
