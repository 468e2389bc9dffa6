"""The page on moving a project, and the projects in `examples`: searched, promoted, verified and resumed."""

from __future__ import annotations

import re
import runpy
import shutil
import sys
import tomllib
import types
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hpo.cli.main import app

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "moving-a-project.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [line[2:].split() for line in BLOCKS[0][1].splitlines()]
EXAMPLES = {path.parent.parent.name: path for path in sorted(ROOT.glob("examples/*/studies/*.toml"))}
LIBRARIES = {
    "keras_script": ("keras", "keras"),
    "lightning_project": ("lightning", "lightning"),
    "transformers_script": ("transformers", "transformers"),
    "xgboost_script": ("xgboost", "boosting"),
}
"""Modules that examples need, and the extras that install them."""

TITLES = {
    "PyTorch script": "pytorch_script",
    "Lightning": "lightning_project",
    "Hugging Face Trainer": "transformers_script",
    "Optuna script": "optuna_script",
    "Ray Tune function": "ray_function",
    "Shell program": "shell_program",
    "scikit-learn script": "sklearn_script",
    "Notebook": "notebook",
}
"""Sections of the page, and their examples."""

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec", "ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*number of training batches"),
]


@pytest.fixture(autouse=True)
def fresh_modules():
    """Lets each test import the example that it copied."""
    yield
    for path in ROOT.glob("examples/*/*.py"):
        sys.modules.pop(path.stem, None)


def example(name, folder):
    """Copies an example into a folder and returns its study's name."""
    if name in LIBRARIES:
        library, extra = LIBRARIES[name]
        pytest.importorskip(library, reason=f"pip install 'hpo-robust[{extra}]'")
    shutil.copytree(ROOT / "examples" / name, folder, dirs_exist_ok=True)
    return EXAMPLES[name].stem if name in EXAMPLES else None


def invoke(config, *words):
    place = ["--storage", config.storage, "--outputs", str(config.outputs)] if words[0] != "check" else []
    result = CliRunner().invoke(app, [*words, *place])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_commands(tmp_path, config, monkeypatch, name):
    study = example(name, tmp_path)
    monkeypatch.chdir(tmp_path)
    assert [words[1] for words in COMMANDS] == ["check", "run", "promote", "verify", "verify"]
    said = [invoke(config, *[study if word == "NAME" else word for word in words[1:]]) for words in COMMANDS]
    assert "2 trials in" in said[1]
    assert "seed is ignored" not in said[2]
    assert [text.splitlines()[-1] for text in said[3:]] == ["3 of 3 trainings identical."] * 2


@pytest.mark.slow
def test_the_optuna_study_is_promoted(tmp_path, config, monkeypatch):
    study = example("optuna_script", tmp_path)
    monkeypatch.chdir(tmp_path)
    runpy.run_path("search.py", run_name="__main__")
    [command] = [line.split() for line in PAGE.splitlines() if line.startswith("hpo promote")]
    said = invoke(config, *command[1:])
    assert f"the best value of study {study}" in said
    assert "seed is ignored" not in said


@pytest.mark.slow
@pytest.mark.parametrize("name", ["optuna_script", "ray_function"])
def test_init_writes_the_study(tmp_path, name):
    study, kind = example(name, tmp_path), f"--from-{name.split('_')[0]}"
    [command] = [line.split() for line in PAGE.splitlines() if line.startswith("hpo init") and kind in line]
    path = tmp_path / "studies" / f"{study}.toml"
    expected = tomllib.loads(path.read_text())
    path.unlink()
    result = CliRunner().invoke(app, [*command[1:], str(tmp_path)])
    assert result.exit_code == 0, result.output
    written = tomllib.loads(path.read_text())
    assert written == expected


@pytest.mark.slow
def test_the_notebook(tmp_path, monkeypatch):
    example("notebook", tmp_path)
    monkeypatch.chdir(tmp_path)
    script = types.ModuleType("__script__")
    monkeypatch.setitem(sys.modules, "__script__", script)
    code = compile((tmp_path / "cells.py").read_text(), str(tmp_path / "cells.py"), "exec")
    exec(code, script.__dict__)
    assert len(script.promoted.ranking.complete) == 1
    assert all(one.is_identical for one in script.verified)


@pytest.mark.slow
def test_the_mammograms(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(ROOT))
    runpy.run_path(str(ROOT / "examples" / "mammograms" / "density.py"), run_name="__main__")
    assert "Winner: trial" in capsys.readouterr().out
    assert (tmp_path / "outputs" / "density" / "results_9" / "summary.json").is_file()


def code_files():
    return [path for path in sorted(ROOT.glob("examples/**/*")) if path.suffix in (".py", ".sh", ".toml")]


@pytest.mark.parametrize("path", code_files(), ids=lambda path: path.name)
def test_examples_are_short(path):
    assert len(path.read_text().splitlines()) < 60


@pytest.mark.parametrize("index", ["examples/README.md", "docs/examples.md"])
def test_the_index_lists_all_examples(index):
    names = {path.relative_to(ROOT / "examples").parts[0] for path in code_files()}
    assert (
        set(re.findall(r"^\| \[[^\]]+\]\((?:\.\./examples/)?(\w+)\)", (ROOT / index).read_text(), re.MULTILINE))
        == names
    )


def section_of(name):
    """Returns the blocks of an example's section, by language."""
    [title] = [title for title in TITLES if TITLES[title] == name]
    return dict(re.findall(r"```(\w+)\n(.*?)```", PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0], re.DOTALL))


@pytest.mark.parametrize("name", sorted(TITLES.values()))
def test_the_page_shows_the_files(name):
    blocks = section_of(name)
    code = "".join(path.read_text() for path in sorted((ROOT / "examples" / name).glob("*.py")))
    for part in blocks.get("diff", "").split("@@\n")[1:]:
        new = "".join(line[1:] for line in part.splitlines(keepends=True) if not line.startswith("-"))
        assert new in code
    if "toml" in blocks:
        assert EXAMPLES[name].read_text() == blocks["toml"]
    assert "diff" in blocks or "toml" in blocks
