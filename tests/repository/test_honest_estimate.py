"""The page on honest estimates: its study and its commands, run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hpo.cli.main import app

PAGE = (Path(__file__).parents[2] / "docs" / "honest-estimate.md").read_text()
BLOCKS = dict(re.findall(r"```(toml|python|console|text)\n(.*?)```", PAGE, re.DOTALL))


@pytest.mark.slow
def test_the_page_runs(tmp_path, monkeypatch):
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "tumours.toml").write_text(BLOCKS["toml"])
    (tmp_path / "train.py").write_text(BLOCKS["python"])
    monkeypatch.chdir(tmp_path)
    printed = []
    for line in BLOCKS["console"].splitlines():
        done = CliRunner().invoke(app, line.split()[2:])
        assert done.exit_code == 0, done.output
        printed.append(done.stdout)
    for line in BLOCKS["text"].splitlines():  # numbers differ on other machines
        words = [word for word in line.split() if re.fullmatch("[A-Za-z]+", word)]
        assert any(words == [word for word in one.split() if word in words] for one in printed[1].splitlines()), line
    assert "look" not in printed[1]
    assert "! The test part was used before, on " in printed[2]
    assert (
        "The winner is the same trial with other seeds, and was not evaluated on it; a second look would" in printed[2]
    )
