"""The page on several objectives: its TOML is valid, its commands exist, and its Python is run as it stands."""

from __future__ import annotations

import re
import sys
import tomllib
import types
from pathlib import Path

import pytest

from hpo.cli.main import check_command_line
from hpo.study import parse
from hpo.study.objective import SEVERAL

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "several-objectives.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
TOML = [body for kind, body in BLOCKS if kind == "toml"]
COMMANDS = [line[2:].split() for kind, body in BLOCKS if kind == "console" for line in body.splitlines()]
FILE = tomllib.loads((ROOT / "studies" / "digits-front.toml").read_text())


def test_the_objective_is_that_of_the_study():
    assert tomllib.loads(TOML[0])["objective"] == FILE["objective"]


@pytest.mark.parametrize("text", TOML[1:])
def test_the_preferences(text):
    study, problems = parse(FILE | {"promotion": {**FILE["promotion"], **tomllib.loads(text)}})
    assert problems == []
    assert study.promotion.prefer is not None


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: words[1])
def test_the_commands(command):
    assert command[:1] == ["hpo"]
    check_command_line(command[1], command[2:])


@pytest.mark.slow
def test_the_python(config, monkeypatch, capsys):
    (text,) = [body for kind, body in BLOCKS if kind == "python"]
    script = types.ModuleType("__script__")
    script.config = config
    monkeypatch.setitem(sys.modules, "__script__", script)
    text = text.replace("hpo.run(study)", "hpo.run(study, config)")
    exec(text.replace("hpo.promote(study)", "hpo.promote(study, config)"), script.__dict__)
    best = script.promoted.report.best
    assert best.scores[1] <= 20
    assert best.front == 1
    assert "preferred one (width <= 20) of the front" in capsys.readouterr().out


def test_its_samplers_are_those_of_the_code():
    for name in SEVERAL:
        assert f"`{name}`" in PAGE
