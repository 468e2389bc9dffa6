"""What the README shows is executed, and it stays short."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
COMMANDS = [line[2:].split("  #")[0] for kind, body in BLOCKS if kind == "console" for line in body.splitlines()]
[PYTHON] = [body for kind, body in BLOCKS if kind == "python"]
[TOML] = [body for kind, body in BLOCKS if kind == "toml"]


def run(folder, *words):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    options = {"cwd": folder, "env": environment, "capture_output": True, "text": True, "timeout": 600, "check": False}
    done = subprocess.run([sys.executable, *words], **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_can_be_read_in_one_sitting():
    assert len(README.splitlines()) <= 150


def test_the_two_commands_are_the_makefile_s():
    makefile = (ROOT / "Makefile").read_text()
    assert [command.split() for command in COMMANDS[:2]] == [["make", "run"], ["make", "test"]]
    for target in ("run", "test"):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_the_table_lists_all_extras():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    table = README.partition("| extra | for |")[2].partition("\n\n")[0]
    listed = re.findall(r"`([a-z]+)`", "".join(line.split("|")[1] for line in table.splitlines()[2:]))
    assert sorted(listed) == sorted({*project["optional-dependencies"]} - {"bench", "dev", "docs"})
    for extras in re.findall(r"hpo-robust\[([a-z,]+)\]", README):
        assert {*extras.split(",")} <= {*listed}


@pytest.mark.ray
@pytest.mark.slow
def test_the_first_study_in_python(tmp_path, at_ray):
    (tmp_path / "script.py").write_text(PYTHON)
    assert "Winner: trial" in run(tmp_path, "script.py")
    assert (tmp_path / "outputs" / "sgd" / "results_9" / "summary.json").is_file()


@pytest.mark.ray
@pytest.mark.slow
def test_the_first_study_as_toml(tmp_path, at_ray):
    function, _, _ = PYTHON.partition("\n\nspace = ")
    (tmp_path / "train.py").write_text(function)
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "sgd.toml").write_text(TOML)
    [command] = [command for command in COMMANDS if command.startswith("hpo ")]
    assert "Winner: trial" in run(tmp_path, "-m", *command.split())
