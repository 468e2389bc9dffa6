"""The page on examinations: its studies and its commands, run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hpo.cli.main import app
from tests.support.extras import needs

PAGE = (Path(__file__).parents[2] / "docs" / "examinations.md").read_text()
BLOCKS = re.findall(r"```(toml|python|console|text)\n(.*?)```", PAGE, re.DOTALL)


@needs("monai", "monai")
@needs("pydicom", "dicom")
@pytest.mark.slow
def test_the_page_runs(tmp_path, monkeypatch):
    (tmp_path / "studies").mkdir()
    monkeypatch.chdir(tmp_path)
    printed = ""
    for language, block in BLOCKS:
        if language == "toml":
            name = re.search(r'name += "(.+)"', block)[1]
            (tmp_path / "studies" / f"{name}.toml").write_text(block)
        if language == "python" and "def train" in block:
            (tmp_path / "train.py").write_text(block)
        elif language == "python":
            exec(block, {})
        if language == "console":
            for line in block.splitlines():
                done = CliRunner().invoke(app, line.split()[2:])
                assert done.exit_code == 0, done.output
                printed = done.stdout
        if language == "text":  # numbers differ on other machines
            for line in block.splitlines():
                words = [word for word in line.split() if re.fullmatch("[A-Za-z]+", word)]
                found = [[word for word in one.split() if word in words] for one in printed.splitlines()]
                assert words in found, line
