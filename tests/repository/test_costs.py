"""The page on costs: its project is written down, and its commands run in order."""

from __future__ import annotations

import re
from pathlib import Path

from typer.testing import CliRunner

from hpo.cli.main import app

PAGE = (Path(__file__).parents[2] / "docs" / "costs.md").read_text()
BLOCKS = dict(re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL))


def test_the_commands(tmp_path, config, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits.py").write_text(BLOCKS["python"])
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "digits.toml").write_text(BLOCKS["toml"])
    said = []
    for line in BLOCKS["console"].splitlines():
        words = line.removeprefix("$ hpo ").split()
        place = ["--storage", config.storage, *["--outputs", "out"] * (words[0] != "status")]
        place += ["--backend", "local"] * (words[0] in ("run", "promote"))
        result = CliRunner().invoke(app, [*words, *place])
        assert result.exit_code == 0, result.output
        said.append(result.output)
    _, status, both, again, _ = said
    assert "of trainings, cost 0.0" in status
    assert "a cost of 0.05, of which 0.0" in both
    assert "Trained now: 9." in both
    assert "2996-12-01 08:00 (UTC" in again
    assert "Spent so far: " in again
