"""Rules of the house that a reader should be able to rely on."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hpo

ROOT = Path(__file__).parents[2]
SOURCES = [path for folder in ("hpo", "models") for path in sorted((ROOT / folder).rglob("*.py"))]


def test_public_names_sorted_and_present():
    assert hpo.__all__ == sorted(hpo.__all__, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    for name in hpo.__all__:
        assert getattr(hpo, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        hpo.nothing  # noqa: B018


def test_renamed_name_warns():
    with pytest.warns(DeprecationWarning, match=r"hpo\.Place was renamed to hpo\.RunConfig"):
        assert hpo.Place is hpo.RunConfig


def loaded_by(code, *heavy):
    check = f"{code}\nimport sys\nprint(*[name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    return done.stdout.split("\n")[-2].split()


def test_importing_hpo_loads_nothing_heavy():
    assert loaded_by("import hpo", "torch", "ray", "optuna", "sqlalchemy", "plotly", "matplotlib", "numpy") == []


def test_integrations_load_when_meant():
    libraries = ("keras", "lightgbm", "lightning", "mlflow", "sklearn", "torch", "transformers", "wandb", "xgboost")
    assert loaded_by("import hpo.integrations.loaders, hpo.integrations.tools", *libraries) == []


def test_help_loads_nothing_heavy():
    code = "import sys\nsys.argv = ['hpo', '--help']\nfrom hpo.cli import main\n"
    code += "try:\n    main()\nexcept SystemExit:\n    pass"
    assert loaded_by(code, "torch", "ray", "optuna", "sqlalchemy", "plotly", "matplotlib", "pydantic", "numpy") == []


@pytest.mark.slow
def test_worker_imports_are_minimal():
    assert loaded_by("import hpo.backends.ray.worker", "optuna", "sqlalchemy", "alembic", "pydantic_settings") == []


@pytest.mark.slow
def test_driver_loads_torch_lazily():
    code = "import hpo.api, hpo.search, hpo.store, hpo.results"
    assert loaded_by(code, "torch", "ray", "matplotlib", "sklearn") == []


PICKLES = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "_pickle", "pickled", "pandas", "pd"}
UNPICKLE = {"load", "loads", "Unpickler", "read_pickle", "open"}


def unsafe_calls(text):
    """Returns the calls by which a pickle would be read, under whatever names they were imported."""
    tree, found = ast.parse(text), []
    modules, functions = {}, {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {one.asname or one.name: one.name.split(".")[-1] for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            last = (node.module or "").split(".")[-1]
            modules |= {one.asname or one.name: one.name for one in node.names}
            functions |= {one.asname or one.name: (last, one.name) for one in node.names}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        match node.func:
            case ast.Attribute(value=ast.Name(id=name), attr=called):
                module = modules.get(name, name)
            case ast.Attribute(value=ast.Attribute(attr=module), attr=called):  # ray.cloudpickle.loads
                pass
            case ast.Name(id=name) if name in functions:
                module, called = functions[name]
            case _:
                continue
        said = ast.unparse(node)
        if module == "torch" and called == "load" and "weights_only=True" not in said:
            found.append(said)
        if module in PICKLES and called in UNPICKLE and not (called == "open" and module != "shelve"):
            found.append(said)
    return found


@pytest.mark.parametrize(
    "code",
    [
        "import pickle\npickle.load(f)",
        "import pickle as p\np.loads(b)",
        "from pickle import loads as read\nread(b)",
        "import ray\nray.cloudpickle.loads(b)",
        "from ray import cloudpickle\ncloudpickle.load(f)",
        "import pickle\npickle.Unpickler(f)",
        "import pandas as pd\npd.read_pickle(f)",
        "import joblib\njoblib.load(f)",
        "import torch\ntorch.load(f)",
        "import torch\ntorch.load(f, weights_only=maybe)",
    ],
)
def test_pickle_rule_finds_all_readers(code):
    assert len(unsafe_calls(code)) == 1
    assert unsafe_calls("import torch, json\ntorch.load(f, weights_only=True)\njson.loads(t)\nopen(f)") == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_unpickled_or_evaluated(path):
    text = path.read_text()
    assert not re.search(r"weights_only=False|allow_pickle=True|(?<![.\w])(eval|exec)\(", text)
    assert unsafe_calls(text) == []


def test_modules_can_be_read_in_one_sitting():
    long = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in SOURCES}
    assert {name: lines for name, lines in long.items() if lines > 420} == {}
