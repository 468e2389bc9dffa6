"""A project written by `hpo init` runs as its messages say, and is never left partly written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import forked
import pytest

from hpo.api import init
from hpo.core.errors import OutputRefused, UsageError
from hpo.driver.init import STARTER

ROOT = Path(__file__).parents[2]
FILES = [".gitignore", "studies/tumours.toml", "tests/test_tumours.py", "tumours.py"]


def called(folder, *arguments, status=0):
    """Runs a module or the command line there, as a new user would, and returns what it prints."""
    begin = ["-m", *arguments[1:]] if arguments[0] == "-m" else ["-c", "from hpo.cli import main; main()", *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HPO_")}
    environment["PYTHONPATH"] = str(ROOT)
    done = forked.run(
        [sys.executable, *begin], cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == status, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done.stdout if status == 0 else done.stderr


def files_of(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.soak  # tests/repository/test_readme.py has them in its ten minutes
def test_commands_shown_by_init_work(tmp_path):
    printed = called(tmp_path, "init", "my project")
    lines = [line.strip() for line in printed.splitlines()]
    assert lines[2:] == ["cd 'my project'", *(f"hpo {verb} --study tumours" for verb in ("check", "run", "promote"))]
    folder = tmp_path / "my project"
    assert files_of(folder) == FILES
    assert "tumours: no problems." in called(folder, *lines[3].split()[1:])
    assert "3 trials in" in called(folder, *lines[4].split()[1:], "--trials", "3", "--backend", "local")
    assert "Winner: trial" in called(folder, *lines[5].split()[1:], "--backend", "local")
    results = folder / "outputs" / "tumours"
    assert {"results_7", "results_8", "results_9", "promotion.html"} <= {path.name for path in results.iterdir()}
    assert len((results / "results_7" / "val_predictions.csv").read_text().splitlines()) == 1 + 456


@pytest.mark.slow
def test_starter_test_finds_mistakes(tmp_path):
    init(tmp_path)
    arguments = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")
    assert "2 passed" in called(tmp_path, *arguments)
    trainable = tmp_path / "tumours.py"
    trainable.write_text(trainable.read_text().replace("loss.backward()", "pass"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert "1 failed, 1 passed" in done.stdout


def test_starter_files_pass_lint():
    """In a project of its own, so that no exemption of this repository applies."""
    found = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--show-files", str(STARTER)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert sorted(Path(path).name for path in found) == ["test_tumours.py", "tumours.py"]
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, str(STARTER)], cwd=ROOT, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["file", "folder"])
def test_occupied_folder_is_untouched(tmp_path, name):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "b.txt").write_text("mine")
    (tmp_path / "folder" / "a.txt").write_text("mine")
    message = called(tmp_path, "init", name, status=2)
    assert message.startswith("error: expected an empty folder or a new one, but ")
    assert ("contains 'a.txt' and 1 more" if name == "folder" else "file is not a folder") in message
    assert files_of(tmp_path) == ["file", "folder/a.txt", "folder/b.txt"]


def test_empty_repository_and_current_folder(tmp_path):
    (tmp_path / ".git").mkdir()
    printed = json.loads(called(tmp_path, "init", ".", "--json"))
    assert printed["files"] == files_of(tmp_path) == FILES
    assert "\n  cd sub/deeper\n" in called(tmp_path, "init", "sub/deeper")
    (tmp_path / "here").mkdir()
    assert "cd " not in called(tmp_path / "here", "init", ".")


@pytest.mark.parametrize("taken", ["file/below", "dangling"])
def test_impossible_folder_is_one_sentence(tmp_path, taken):
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises((UsageError, OutputRefused), match=r"choose another"):
        init(tmp_path / taken)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dangling", "file"]


def test_too_long_name_leaves_nothing(tmp_path):
    with pytest.raises(OutputRefused, match="File name too long"):
        init(tmp_path / ("x" * 300))
    assert list(tmp_path.iterdir()) == []


def test_failed_move_is_undone(tmp_path, monkeypatch):
    """Another process creates a folder of the same name at that moment."""
    rename = Path.rename

    def late(path, target):
        if path.name == "tests":
            (tmp_path / "tests" / "theirs").mkdir(parents=True)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", late)
    with pytest.raises(OutputRefused, match="cannot write a project"):
        init(tmp_path)
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == ["tests", "tests/theirs"]


def test_compiled_files_are_not_copied(tmp_path):
    cache = STARTER / "__pycache__"
    was_there = cache.exists()
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(STARTER / "tumours.py")], check=True)
    try:
        assert [str(path) for path in init(tmp_path / "mine").files] == FILES
    finally:
        if not was_there:
            shutil.rmtree(cache)


def test_wheel_contains_starter_files(tmp_path):
    shutil.copytree(ROOT / "hpo", tmp_path / "hpo", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "out"], cwd=tmp_path, check=True)
    [wheel] = (tmp_path / "out").iterdir()
    with zipfile.ZipFile(wheel) as packed:
        found = [name for name in packed.namelist() if name.startswith("hpo/driver/starter/")]
    assert sorted(found) == [
        f"hpo/driver/starter/{name.removeprefix('.')}" for name in sorted(FILES, key=lambda n: n.removeprefix("."))
    ]
