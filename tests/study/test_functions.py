"""Functions that a study is given themselves, and what counts as their code."""

from __future__ import annotations

import functools
import linecache
import textwrap
from pathlib import Path

import pytest

from hpo.study.functions import find_function, prepare_to_ship, session_code

PROJECT = Path(__file__).parents[1] / "project"

SCRIPT = """
from __future__ import annotations
import functools
from dataclasses import dataclass, field

LAYERS = [8, 8]

@dataclass(frozen=True)
class Params:
    lr: float
    width: int = 16

    def scaled(self):
        return self.lr * 10

class Net:
    depth = 2

    def forward(self, x):
        return x * self.depth

@functools.cache
def cached(x):
    return x + 1

def helper(x):
    return x * len(LAYERS)

scaled = functools.partial(helper, 3)

def train(params: Params, ctx):
    \"\"\"Trains.\"\"\"
    from toys import net
    for epoch in ctx.epochs():
        yield {"val": helper(params.scaled()) + cached(epoch) + Net().forward(1) + scaled()}
"""


def session(text, name, with_source=True):
    """Returns the names of a script as if it were run by Python, or typed into a console that keeps no source."""
    names = {"__name__": "__main__"}
    if with_source:
        linecache.cache[name] = len(text), None, text.splitlines(keepends=True), name
    exec(compile(text, name, "exec"), names)
    return names


CELLS = iter(range(10_000))


def code(text, with_source=True):
    return session_code(session(text, f"<cell {next(CELLS)}>", with_source)["train"], PROJECT)


CHANGES = {
    "LAYERS = [8, 8]": ("LAYERS = [8, 9]", "LAYERS"),
    "len(LAYERS)": ("len(LAYERS) + 1", "helper"),
    "self.lr * 10": ("self.lr * 20", "Params.scaled"),
    "width: int = 16": ("width: int = 32", "Params.width"),
    "depth = 2": ("depth = 3", "Net"),
    "x * self.depth": ("x + self.depth", "Net.forward"),
    "x + 1": ("x + 2", "cached"),
    "partial(helper, 3)": ("partial(helper, 4)", "scaled"),
    "Net().forward(1)": ("Net().forward(2)", "train"),
}


@pytest.mark.parametrize("with_source", [True, False], ids=["source", "no-source"])
@pytest.mark.parametrize("before", CHANGES)
def test_what_a_function_uses_is_its_code(before, with_source):
    after, name = CHANGES[before]
    assert before in SCRIPT
    first, second = code(SCRIPT, with_source), code(SCRIPT.replace(before, after), with_source)
    assert first.differs(second)
    assert name in first.changes(second)


def test_comments_and_docstrings_are_no_code():
    same = SCRIPT.replace('"""Trains."""', '"""Trains it."""  # at last').replace("\n\n", "\n\n\n")
    assert code(SCRIPT) == code(same)
    assert code(SCRIPT, with_source=False) == code(SCRIPT, with_source=False)


@pytest.mark.parametrize("with_source", [True, False], ids=["source", "no-source"])
def test_imported_project_files_count(monkeypatch, with_source):
    monkeypatch.syspath_prepend(PROJECT)
    assert "toys/net.py" in code(SCRIPT.replace("from toys import net", "import toys.net"), with_source).files
    assert "toys/__init__.py" in code(SCRIPT, with_source).files
    assert not any("site-packages" in name or name.startswith("hpo/") for name in code(SCRIPT).files)


def test_a_closure_s_values_are_code():
    def make(width):
        def train(params, ctx):
            yield {"val": width}

        return train

    assert session_code(make(1), PROJECT) == session_code(make(1), PROJECT)
    assert session_code(make(1), PROJECT).changes(session_code(make(2), PROJECT)).endswith("width changed")


def test_annotations_do_not_change_code():
    train = session(SCRIPT, "<annotated>")["train"]
    before = session_code(train, PROJECT)
    prepare_to_ship(train)
    assert train.__annotations__["params"].__name__ == "Params"
    assert train.__annotations__["params"].__annotations__ == {"lr": float, "width": int}
    assert session_code(train, PROJECT) == before


def test_edited_script_keeps_its_code(tmp_path):
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(SCRIPT))
    train = session(SCRIPT, str(path), with_source=False)["train"]
    before = session_code(train, PROJECT)
    path.write_text(SCRIPT.replace("self.lr * 10", "self.lr * 20").replace("len(LAYERS)", "7"))
    linecache.checkcache()
    assert session_code(train, PROJECT) == before


def test_recursive_list_is_accepted():
    ring = []
    ring.append(ring)

    def train(params, ctx):
        yield {"val": len(ring)}

    assert session_code(train, PROJECT).digest


def test_where_a_function_is():
    assert find_function(textwrap.dedent).path == "textwrap:dedent"
    assert find_function(textwrap.dedent).function is None

    def inner(params, ctx):
        yield {}

    found = find_function(inner)
    assert found.path.endswith(":test_where_a_function_is.<locals>.inner")
    assert found.function is inner
    named = functools.wraps(textwrap.dedent)(inner)  # by name it is another function
    assert find_function(named).function is named
