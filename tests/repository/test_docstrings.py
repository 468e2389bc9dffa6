"""Examples in docstrings of the public API are run, and each main entry point has one."""

from __future__ import annotations

import doctest
import sys

import pytest

import hpo

TRAINABLE = '''\
"""A training of one epoch whose value depends on its seed."""


def train(x, *, ctx):
    yield {"val_acc": 1 - (x - 0.3) ** 2 + 0.01 * ctx.streams.init.numpy().normal()}
'''
MAIN = (
    *("Study", "Study.__init__", "Float", "Int", "Choice", "maximize", "minimize", "Search", "Context", "Streams"),
    *("run", "promote", "load", "rank", "Rule", "seeded"),
)
"""Names in `hpo` whose docstrings must show their use; a class may do so in `__init__`."""


def of(name):
    found = hpo
    for part in name.split("."):
        found = getattr(found, part)
    return found


def examples():
    """Returns every public docstring with an example, by name."""
    finder, found = doctest.DocTestFinder(), {}
    for name in sorted({*hpo.__all__}):
        for test in finder.find(getattr(hpo, name), name, module=False, globs={"hpo": hpo}):
            if test.examples:
                found[test.name] = test
    return found


EXAMPLES = examples()


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with the module `fit` that examples name."""
    (tmp_path / "fit.py").write_text(TRAINABLE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "fit", raising=False)
    yield
    sys.modules.pop("fit", None)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_docstring_examples(name, project):
    test, said = EXAMPLES[name], []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    outcome = runner.run(test, out=said.append)
    assert outcome.failed == 0, "".join(said)
    assert outcome.attempted == len(test.examples)


@pytest.mark.parametrize("name", sorted({one.partition(".")[0] for one in MAIN}))
def test_main_entry_points_have_examples(name):
    assert {name, f"{name}.__init__"} & {*EXAMPLES}
