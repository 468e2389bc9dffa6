"""The generated pages: they are current, and every key, variable and name is on them."""

from __future__ import annotations

import re
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

import hpo
from hpo.study import parse
from tests.reference import variables
from tests.reference.__main__ import FOLDER, PAGES, main
from tests.reference.examples import EXAMPLES
from tests.reference.study_keys import TABLES, keys

ROOT = Path(__file__).parents[2]

STUDY = {
    "name": "example",
    "trainable": "train:train",
    "objective": {"metric": "val_acc"},
    "space": {"lr": {"float": [0.0001, 0.1]}},
    "search": {"budget": 10, "pruner": "none"},
}


@pytest.mark.parametrize("name", PAGES)
def test_pages_are_current(name):
    if name == "http-api.md" and find_spec("fastapi") is None:
        pytest.skip("fastapi needs the extra web")
    assert (FOLDER / name).read_text() == PAGES[name](), "write it again with: make reference"


def test_check_finds_an_old_page(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tests.reference.__main__.FOLDER", tmp_path)
    monkeypatch.setattr("tests.reference.__main__.PAGES", {"environment.md": variables.variables})
    assert main(["--check"]) == 1
    assert "is not current" in capsys.readouterr().out
    assert main([]) == 0
    assert main(["--check"]) == 0


def test_every_key_has_an_example():
    assert set(EXAMPLES) == {f"{table}.{key}".removeprefix(".") for table, key, _, _ in keys()}


def valid(where):
    """Returns the problems of a study with the example of a key."""
    table, _, _ = where.rpartition(".")
    given = tomllib.loads(EXAMPLES[where])
    if not table:
        given.pop("command", None)
        return parse(
            STUDY | {key: STUDY.get(key, {}) | value if key == "space" else value for key, value in given.items()}
        )
    if table == "space":
        return parse(STUDY | {"space": STUDY["space"] | given})
    if table == "command":
        run = {"run": "python train.py {lr} {seed} {budget}"}
        study = {key: value for key, value in STUDY.items() if key != "trainable"}
        return parse(study | {"command": run | given})
    if where == "search.constraints":
        given["sampler"] = "tpe"
    if table.startswith("promotion."):
        given, table = {table.rpartition(".")[2]: given}, "promotion"
    objective = STUDY["objective"]
    if "prefer" in where or "metrics" in given:
        objective = {"metrics": {"val_acc": "maximize", "latency_ms": "minimize"}}
    old = {} if "metrics" in given else STUDY.get(table, {})
    return parse(STUDY | {"objective": objective} | {table: old | given})


@pytest.mark.parametrize("where", EXAMPLES)
def test_the_example_of_a_key_is_valid(where):
    study, problems = valid(where)
    assert [str(one) for one in problems] == []
    assert study is not None


def test_every_table_describes_its_keys():
    text = (FOLDER / "study-files.md").read_text()
    assert re.findall(r"^\| `[^|]*\| [^|]*\| [^|]*\|  \|", text, re.MULTILINE) == []
    assert [name for name, _ in TABLES.values()] == re.findall(r"^## (.*)$", text, re.MULTILINE)


def test_every_variable_is_listed():
    listed = {*variables.COMMANDS, *variables.PROGRAMS, *variables.CONTAINERS}
    sources = [*(ROOT / "hpo").rglob("*.py"), *(one for one in (ROOT / "docker").iterdir() if one.is_file())]
    read = {name for path in sources for name in re.findall(r"\bHPO_[A-Z_]*[A-Z]\b", path.read_text())}
    assert read - listed - {"HPO_JOB"} == set()  # HPO_JOB is between hpo submit and the driver


def test_every_public_name_is_listed():
    listed = re.findall(r"^::: hpo\.(\w+)$", (FOLDER / "python.md").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(hpo.__all__)
