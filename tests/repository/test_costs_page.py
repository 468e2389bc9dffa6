"""The page on costs: its commands run in order, for the project of the page on one's own study."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hpo.cli.main import app

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "costs.md").read_text()
BLOCKS = dict(reversed(re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)))
OWN_STUDY = re.findall(r"```(\w+)\n(.*?)```", (ROOT / "docs" / "own-study.md").read_text(), re.DOTALL)


@pytest.mark.slow
def test_the_commands(tmp_path, config, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trainable = next(body for kind, body in OWN_STUDY if kind == "python")
    study = next(body for kind, body in OWN_STUDY if kind == "toml")
    (tmp_path / "train.py").write_text(trainable)
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "line.toml").write_text(f"{study}\n{BLOCKS['toml']}")
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
    assert "Trained now: " in both
    assert "2996-12-01 08:00 (UTC" in again
    assert "Spent so far: " in again


def test_the_table_of_costs(curve):
    table = tomllib.loads(re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)[1])["search"]
    assert curve(search=table).objective.needed == ("val", "weights")
