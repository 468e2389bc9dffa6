"""The page on starting from old studies: its commands and its table, run as they stand."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tomllib
from pathlib import Path

import forked
import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "transfer.md").read_text()
TOML = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)[1]
COMMANDS = [line[2:].split() for line in re.search(r"```console\n(.*?)```", PAGE, re.DOTALL)[1].splitlines()]


@pytest.mark.slow
def test_commands_of_the_page(tmp_path, config):
    project = tmp_path / "project"
    shutil.copytree(ROOT / "tests" / "project", project)
    begin = [sys.executable, "-c", "from hpo.cli import main; main()"]
    printed = []
    for command in COMMANDS:
        train = ["--outputs", "out", "--backend", "local"] if command[1] == "run" else []
        words = [*begin, *command[1:], "--storage", config.storage, *train]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = forked.run(words, cwd=project, env=environment, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stderr
        printed.append(done)
    written = tomllib.loads((project / "studies" / "second.toml").read_text())
    assert written["search"]["prior"] == tomllib.loads(TOML)["search"]["prior"]
    assert "Importance of the params for val" in printed[1].stdout
    assert "starting from curve (" in printed[2].stderr
    assert "curve" in printed[2].stdout
    assert "second: Started from curve" in printed[3].stdout or "do not agree" in printed[3].stdout
