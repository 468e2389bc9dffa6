"""Thousands of study files and command lines that are wrong in some way: each gets a sentence, and nothing is written.

HPO_SOAK_SEED repeats a run; HPO_SOAK_FILES and HPO_SOAK_COMMANDS say how many.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import shutil
import sys
import traceback
from collections import Counter
from pathlib import Path

import pytest
import typer
from fuzzing import arguments_of, mutated

import hpo
from hpo.cli.main import app, main
from hpo.study import Study
from hpo.study.loading import check

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "tests" / "project"
SOUND = sorted((ROOT / "studies").glob("*.toml"))
NEVER = {"serve", "submit", "doctor", "logs", "stop", "init", "data"}
"""Commands that wait for a server, look at the whole machine, or are fuzzed by what they read."""


@pytest.fixture
def draw():
    seed = int(os.environ.get("HPO_SOAK_SEED", random.SystemRandom().randrange(10**6)))
    sys.stderr.write(f"\nHPO_SOAK_SEED={seed}\n")  # shown when the test fails
    return random.Random(seed)


def count(name, short, long):
    """Returns how many to try: a few in every run of the tests, all in `make soak`."""
    return [
        pytest.param(short, id="some"),
        pytest.param(int(os.environ.get(name, long)), marks=pytest.mark.soak, id="all"),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("times", count("HPO_SOAK_FILES", 150, 5000))
def test_study_files_fuzz(tmp_path, monkeypatch, draw, times):
    monkeypatch.chdir(tmp_path)
    project(tmp_path)
    path = tmp_path / "studies" / "curve.toml"
    sound = [path.read_text(encoding="utf-8"), *(file.read_text(encoding="utf-8") for file in SOUND)]
    found = Counter()
    before = {one for one in tmp_path.rglob("*") if "__pycache__" not in one.parts}
    for _ in range(times):
        path.write_bytes(mutated(draw.choice(sound) if draw.random() < 0.2 else sound[0], draw))
        read = check(path)
        found["sound" if read.study else "refused"] += 1
        assert (read.study is None) == bool(read.problems), path.read_bytes()
        for problem in read.problems:
            assert problem.key, path.read_bytes()
            assert problem.message.strip(), path.read_bytes()
            found[problem.key.partition(".")[0]] += 1
        if read.study is not None:
            assert Study.model_validate(read.study.content()).digest == read.study.digest
    assert {one for one in tmp_path.rglob("*") if "__pycache__" not in one.parts} == before
    sys.stderr.write(f"{times} study files: {dict(found.most_common(12))}\n")


def commands(group, above=()):
    """Yields every command of the command line with the words that name it."""
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield from commands(command, (*above, name))
        elif name not in NEVER:
            yield (*above, name), command


@pytest.mark.slow("some")
@pytest.mark.parametrize("times", count("HPO_SOAK_COMMANDS", 40, 2000))
def test_command_lines_fuzz(tmp_path, monkeypatch, draw, times):
    for variable in [name for name in os.environ if name.startswith(("HPO_", "RAY_"))]:
        monkeypatch.delenv(variable)
    fill(tmp_path / "whole")
    known, statuses, faults = list(commands(typer.main.get_command(app))), Counter(), []
    for number in range(times):
        words, command = draw.choice(known)
        arguments = [*words, *arguments_of(command, draw)]
        folder = tmp_path / f"n{number}"
        shutil.copytree(tmp_path / "whole", folder)
        monkeypatch.chdir(folder)
        before = content(folder)
        status, said = run(arguments, monkeypatch)
        statuses[status] += 1
        if status not in (0, 1, 2) or "Traceback" in said or (status and not said.strip()):
            faults.append(("no sentence", arguments, status, said))
        if status == 2 and (changed := changes(before, content(folder))):
            faults.append(("written", arguments, changed, said))
        monkeypatch.chdir(tmp_path)
        shutil.rmtree(folder)
    sys.stderr.write(f"{times} command lines, by exit status: {dict(statuses)}\n")
    assert faults == []


@pytest.fixture(autouse=True)
def _forgets_modules():
    """Undoes what importing the trainables does to the process, which would refuse the next folder's."""
    path = list(sys.path)
    yield
    forget_modules(path)


def forget_modules(path):
    sys.path[:] = path
    for name in [name for name in sys.modules if name.startswith("toys_fuzzed")]:
        del sys.modules[name]


def project(folder):
    """Makes a user's own project, whose package has a name of its own."""
    shutil.copytree(PROJECT / "toys", folder / "toys_fuzzed", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "studies").mkdir()
    text = (PROJECT / "studies" / "curve.toml").read_text(encoding="utf-8")
    text = text.replace("toys.", "toys_fuzzed.").replace("trials = 20", "trials = 3")
    (folder / "studies" / "curve.toml").write_text(text, encoding="utf-8")


def fill(folder):
    """Makes a project whose study was searched and promoted, with files and folders that mislead."""
    folder.mkdir()
    project(folder)
    path = list(sys.path)
    config = hpo.RunConfig(storage=f"sqlite:///{folder / 'hpo.db'}", outputs=folder / "outputs", backend="local")
    study = hpo.load_study(str(folder / "studies" / "curve.toml"))
    hpo.run(study, config)
    hpo.promote(study, config)
    forget_modules(path)
    (folder / "afile").write_text("a,b\n1,2\n")
    (folder / "afolder").mkdir()
    (folder / "deep").mkdir()
    (folder / "deep" / "summary.json").write_text("[" * 100_000)


def content(folder):
    """Returns every file with its bytes, but for what Python and SQLite keep for themselves."""
    return {
        path.relative_to(folder): path.read_bytes() if path.suffix != ".db" and path.is_file() else None
        for path in folder.rglob("*")
        if "__pycache__" not in path.parts and not path.name.endswith(("-wal", "-shm"))
    }


def changes(before, after):
    """Returns the files that are new, gone or different."""
    return sorted(str(path) for path in before.keys() | after.keys() if before.get(path, 0) != after.get(path, 0))


def run(arguments, monkeypatch):
    """Returns the exit status of a command line, run in this process, and what it printed."""
    printed = io.StringIO()
    path = list(sys.path)
    monkeypatch.setattr(sys, "argv", ["hpo", *arguments])
    monkeypatch.setattr(sys, "stdin", io.StringIO())  # nobody answers what is asked
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            main()
        except SystemExit as ended:
            return ended.code, printed.getvalue()
        except BaseException as error:
            return type(error).__name__, f"{error}\n{traceback.format_exc(limit=-2)}"
        finally:
            forget_modules(path)
