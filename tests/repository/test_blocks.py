"""Blocks of code on all pages: commands and options exist, code can be compiled, and short pages' blocks are run."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
import tomllib
import types
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from hpo.cli.main import app, check_command_line
from hpo.study.loading import read

ROOT = Path(__file__).parents[2]
READMES = [ROOT / "docker" / "README.md", ROOT / "examples" / "README.md"]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), *READMES]
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


def blocks(path, *kinds):
    return [
        body for kind, body in re.findall(r"^```(\w+)\n(.*?)^```$", path.read_text(), re.DOTALL | re.M) if kind in kinds
    ]


def commands(text):
    """Returns the arguments of each call of hpo in a block, as typer gets them."""
    joined = re.sub(r"\\\n\s*", "", text)
    for line in joined.splitlines():
        if found := re.match(r"(?:\$ )?(?:docker compose .* exec .* hpo-entrypoint )?hpo (\w.*)$", line):
            yield shlex.split(found[1].removesuffix(" &"), comments=True)


CALLS = [
    pytest.param(words, id=f"{path.stem}-{' '.join(words)[:40]}")
    for path in PAGES
    for body in blocks(path, "console", "sh")
    for words in commands(body)
]


@pytest.mark.parametrize("words", CALLS)
def test_commands_exist(words):
    if words[0] in ("seeds", "data"):
        group = get_command(app).commands[words[0]]
        group.commands[words[1]].make_context(words[1], words[2:])
    else:
        check_command_line(words[0], words[1:])


def test_a_wrong_option_is_found():
    [words] = commands("$ hpo run --study digits --trails 3 &")
    with pytest.raises(Exception, match="No such option"):
        check_command_line(words[0], words[1:])


NOT_RUN = re.compile(r"<!-- not run: [^>]{10,} -->\n\n?```(?:console|sh|python)\n.*?^```$", re.DOTALL | re.MULTILINE)
"""A block that no test executes, with the reason."""

SOURCES = {
    path: path.read_text()
    for folder in ("repository", "integrations", "docker")
    for path in sorted((ROOT / "tests" / folder).glob("test_*.py"))
}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_blocks_are_run_or_say_why(path):
    """A page whose blocks a test executes is named in that test."""
    unmarked = re.findall(r"^```(console|sh|python)$", NOT_RUN.sub("", path.read_text()), re.MULTILINE)
    named = re.compile(rf'"(?:{re.escape(path.stem)}|(?:[\w/]*/)?{re.escape(path.name)})"')
    assert not unmarked or any(named.search(text) for text in SOURCES.values())


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_code_can_be_compiled(path):
    for body in blocks(path, "python"):
        ast.parse(body)
    for body in blocks(path, "toml"):
        tomllib.loads(body)


def shellcheck(text):
    command = ["shellcheck", "--shell=bash", "-"]
    environment = {"PATH": PATH}
    return subprocess.run(command, input=text, env=environment, capture_output=True, text=True, check=False)


def test_the_script_for_slurm():
    [script] = blocks(ROOT / "docs" / "slurm.md", "sh")
    done = shellcheck(script)
    assert done.returncode == 0, done.stdout
    assert shellcheck(script.replace('--study "$study"', "--study $study")).returncode == 1


def test_the_resources_of_gpus(curve):
    [text] = blocks(ROOT / "docs" / "gpus.md", "toml")
    study = curve(**tomllib.loads(text))
    assert (study.resources.gpu, study.resources.cpu, study.resources_.slots) == (1.0, 4, 2)


@pytest.mark.slow
def test_the_trainable_of_gpus(config, monkeypatch):
    """On the CPU: this machine may have no GPU."""
    import hpo

    [text] = blocks(ROOT / "docs" / "gpus.md", "python")
    script = types.ModuleType("__script__")
    monkeypatch.setitem(sys.modules, "__script__", script)
    exec(text, script.__dict__)
    space, search = {"lr": hpo.Float(0.001, 0.1, log=True)}, {"trials": 2, "budget": 3, "pruner": "none"}
    study = hpo.Study(name="gpus", trainable=script.train, objective=hpo.minimize("loss"), space=space, search=search)
    assert [one.state for one in hpo.run(study, config).trials] == ["complete", "complete"]


@pytest.mark.slow
def test_the_tables_of_pandas(tmp_path, monkeypatch, capsys):
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "digits.toml").write_text((ROOT / "studies" / "digits.toml").read_text())
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(ROOT))
    [text] = blocks(ROOT / "docs" / "pandas.md", "python")
    exec(text, {"__name__": "example"})
    printed = capsys.readouterr().out
    assert "complete" in printed
    assert "sigma" in printed


@pytest.mark.postgres
@pytest.mark.slow
def test_the_commands_of_postgres(tmp_path, postgres_url, monkeypatch):
    [block] = blocks(ROOT / "docs" / "postgres.md", "console")
    monkeypatch.chdir(tmp_path)
    place = ["--backend", "local", "--studies", str(ROOT / "studies")]
    for words in commands(block):
        words = [postgres_url if word.startswith("postgresql:") else word for word in words]
        result = CliRunner().invoke(app, [*words, *(place if words[0] == "run" else [])])
        assert result.exit_code == 0, result.output
    assert "2 of 30" in result.stdout


def test_the_output_that_is_explained():
    """Each line that the table explains is in the output above it."""
    page = ROOT / "docs" / "reading-the-output.md"
    [shown] = blocks(page, "text")
    explained = re.findall(r"^\| (`.*?) \|", page.read_text(), re.MULTILINE)
    for cell in explained:
        for name in re.findall(r"`([^`]+)`", cell):
            assert name in shown
    assert len(explained) > 5
    assert read(ROOT / "studies" / "unet-density.toml").study.search.trials == int(shown.split()[0])
