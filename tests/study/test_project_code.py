"""Which files of a project count as a trainable's code, and which edits of them."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from projects import Project

from hpo.core.code import Code, describe_difference
from hpo.study.project_code import code_of
from hpo.study.trainable import load

REGISTRY = """
import importlib
for name in ("one", "two"):
    importlib.import_module(f"{__name__}.{name}")
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    made = Project(tmp_path / "project")
    yield made
    made.forget()


def code(project):
    ref = project.study().ref
    return load(ref).code(ref.root)


def files(project):
    return set(code(project).files)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("head", "more", "found"),
    [
        ("import helper", {}, {"helper.py"}),
        ("def late():\n    import helper", {}, {"helper.py"}),
        ("import pack.inner", {}, {"pack/__init__.py", "pack/inner.py", "helper.py"}),
        ("from pack import inner", {}, {"pack/__init__.py", "pack/inner.py", "helper.py"}),
        ("from pack.inner import NAME", {}, {"pack/__init__.py", "pack/inner.py", "helper.py"}),
        ("import space.deep", {}, {"space/deep.py"}),
        ("from importlib import import_module\nX = import_module('helper')", {}, {"helper.py"}),
        ("__import__('pack.inner')", {}, {"pack/__init__.py", "pack/inner.py", "helper.py"}),
        ("import registry", {}, {"registry/__init__.py", "registry/one.py", "registry/two.py"}),
        ("import runpy\nrunpy.run_path(__file__.replace('toy.py', 'helper.py'))", {}, {"helper.py"}),
        ("import round_a", {}, {"round_a.py", "round_b.py"}),
        ("try:\n    import broken\nexcept SyntaxError:\n    pass", {}, {"broken.py"}),
        ("import json, hypothesis, hpo", {}, set()),
        ("X = 'data.csv'", {}, set()),
        ("X = 'data.json'", {}, {"data.json"}),
        ("import json\nX = 'data.json'\ndef save(x, file): json.dump(x, file)", {}, set()),
        ("def late(): return open('conf/base.yaml')", {}, {"conf/base.yaml"}),
        ("from pathlib import Path\nX = Path(__file__).parent / 'conf' / 'base.yaml'", {}, {"conf/base.yaml"}),
        ("import sys\ndef late():\n    sys.path.insert(0, 'src')\n    import inside", {}, {"src/inside.py"}),
        ("def late(run): run(['python', '-m', 'helper'])", {}, {"helper.py"}),
        ("import runpy\ndef late(): runpy.run_module('helper')", {}, {"helper.py"}),
        ("def late(run): run(['sh', 'tool.sh'])", {}, {"tool.sh"}),
        ("X = 'studies/other.toml'", {}, set()),
    ],
)
def test_every_file_that_is_imported_counts(project, head, more, found):
    for path, text in {
        "helper.py": "VALUE = 1",
        "pack/__init__.py": "",
        "pack/inner.py": "from helper import VALUE as NAME",
        "pack/unused.py": "",
        "space/deep.py": "",
        "conf/base.yaml": "x: 1",
        "src/inside.py": "",
        "tool.sh": "echo 1",
        "studies/other.toml": "",
        "data.csv": "",
        "registry/__init__.py": REGISTRY,
        "registry/one.py": "",
        "registry/two.py": "",
        "round_a.py": "import round_b",
        "round_b.py": "import round_a",
        "broken.py": "def (",
        "data.json": "{}",
        "unused.py": "",
        **more,
    }.items():
        project.write(path, text)
    project.toy(head=head)
    assert files(project) == {"toy.py"} | found


def test_relative_imports_are_followed(project):
    project.write("own/__init__.py", "")
    project.write("own/sub/__init__.py", "from .. import up")
    project.write("own/up.py", "")
    project.write("own/sub/near.py", "from ..up import *\nfrom . import beside")
    project.write("own/sub/beside.py", "")
    project.toy(head="import own.sub.near")
    assert files(project) == {
        "toy.py",
        *(f"own/{name}.py" for name in ("__init__", "up", "sub/__init__", "sub/near", "sub/beside")),
    }


@pytest.mark.parametrize(
    "edit",
    [
        "# a remark\nVALUE = 1\n",
        "VALUE   =   1",
        '"""Now it is described."""\n\nVALUE = 1',
        "VALUE = (1)",
    ],
)
def test_comments_and_layout_are_ignored(project, edit):
    project.write("helper.py", "VALUE = 1")
    project.toy(head="import helper")
    before = code(project)
    project.write("helper.py", edit)
    assert code(project) == before


@pytest.mark.parametrize(
    "edit", ["VALUE = 2", "VALUE = 1.0", "VALUE = True", "VALUE = 1\nVALUE += 1", "VALUE = -1", ""]
)
def test_other_syntax_counts(project, edit):
    project.write("helper.py", "VALUE = 1")
    project.toy(head="import helper")
    before = code(project)
    project.write("helper.py", edit)
    after = code(project)
    assert before.differs(after)
    assert before.changes(after) == "helper.py changed"


def test_docstring_that_is_read_counts(project):
    project.write("helper.py", '"""a"""\nVALUE = len(__doc__)')
    project.toy(head="import helper")
    before = code(project)
    project.write("helper.py", '"""aa"""\nVALUE = len(__doc__)')
    assert before.differs(code(project))


def test_imported_module_keeps_its_code(project):
    """A process that has imported a module does not run what was written into its file since."""
    project.toy(head="VALUE = 1")
    before = code(project)
    (project.folder / "toy.py").write_text((project.folder / "toy.py").read_text().replace("VALUE = 1", "VALUE = 2"))
    assert code(project) == before
    importlib.reload(sys.modules["toy"])
    assert before.differs(code(project))


def test_late_import_is_read_again(project):
    project.write("helper.py", "VALUE = 1")
    project.toy(head="def late():\n    import helper")
    before = code(project)
    (project.folder / "helper.py").write_text("VALUE = 23")
    now = code(project)
    assert before.differs(now)
    importlib.import_module("helper")
    assert code(project) == now
    (project.folder / "helper.py").write_text("VALUE = 456")
    assert code(project) == now


def test_trainable_without_file():
    module = type(sys)("__notebook__")
    assert code_of(module, "/tmp") == Code()
    assert not Code().differs(Code({"a.py": "1"}, "1"))


def test_changes_name_a_few_files():
    first = Code({f"{name}.py": "1" for name in "abcdefgh"}, "1")
    second = Code({**{f"{name}.py": "2" for name in "abcdefg"}, "new.py": "2"}, "2")
    assert first.changes(second) == ("a.py, b.py, c.py, d.py, e.py changed, h.py is gone, new.py is new, and 2 more")
    assert describe_difference({"trial 1": first, "trial 2": first}) is None
    assert "a.py" in describe_difference({"trial 1": first, "trial 2": second})
    assert describe_difference({"trial 1": first, "trial 2": Code()}) == (
        "The code of trial 2 was not recorded: it may differ from that of trial 1."
    )


@given(st.text(max_size=200))
def test_any_text_in_a_file_is_read(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("any")
    (folder / "any_text.py").write_text(text, encoding="utf-8", errors="replace")
    module = type(sys)("any_text")
    module.__file__ = str(folder / "any_text.py")
    found = code_of(module, folder)
    assert set(found.files) >= {"any_text.py"}
    assert found == code_of(module, Path(folder))
