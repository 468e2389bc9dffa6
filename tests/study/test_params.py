"""How a trainable may take its params: what `hpo check` says of each form, and which defaults count."""

from __future__ import annotations

import sys

import pytest
from projects import Project

import hpo
from hpo import api
from hpo.core.errors import StudyChanged, StudyInvalid
from hpo.study.defaults import defaults_of
from hpo.study.trainable import load

HEAD = """
import dataclasses, pydantic, attrs
from typing import Any, Mapping
from hpo import Context
"""
CLASS = """
{}:
    x: float
    width: int = 16
    sizes: list[int] = {}lambda: [3])

def train(p: P, ctx):
    return p.x + p.width
"""
NAMED = """
def train({}):
    return x + width
"""
FORMS = {
    "dataclass": CLASS.format("@dataclasses.dataclass\nclass P", "dataclasses.field(default_factory="),
    "pydantic": CLASS.format("class P(pydantic.BaseModel)", "pydantic.Field(default_factory="),
    "attrs": CLASS.format("@attrs.define\nclass P", "attrs.Factory("),
    "named": NAMED.format("x: float, width: int = 16, sizes: list[int] = [3], *, ctx"),
    "annotated": NAMED.format("c: Context, x: float, width: int = 16, sizes: list[int] = [3]"),
    "no-context": NAMED.format("x: float, width: int = 16, sizes: list[int] = [3]"),
    "unnamed": NAMED.format("x: float, width: int = 16, /, sizes: list[int] = [3], *, ctx"),
}
ANY = {
    "dict": "def train(params: dict, ctx):\n    return params['x'] + params.get('width', 16)\n",
    "typed-dict": "def train(params: dict[str, Any], ctx):\n    return params['x'] + params.get('width', 16)\n",
    "mapping": "def train(params: Mapping[str, object], ctx):\n    return params['x'] + params.get('width', 16)\n",
    "params": "def train(params, ctx):\n    return params['x'] + params.get('width', 16)\n",
    "two-untyped": "def train(params, c):\n    return c.budget - 2 + params['x'] + params.get('width', 16)\n",
    "config": "def train(config):\n    return config['x'] + config.get('width', 16)\n",
    "keywords": "def train(*, ctx, **params):\n    return params['x'] + params.get('width', 16)\n",
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    made = Project(tmp_path / "project")
    yield made
    made.forget()


def written(project, code, fixed=""):
    """Writes the trainable and returns what the study file makes of it."""
    project.study_file(more=f"[fixed]\n{fixed}")
    project.write("toy.py", HEAD + code)
    return project.study()


@pytest.mark.parametrize("form", [*FORMS, *ANY])
def test_each_form_trains(project, config, form):
    study = written(project, {**FORMS, **ANY}[form], fixed="width = 2")
    hpo.run(study, config)
    trials = api.show("toy", 0, config)
    assert trials[0].value == trials[0].params["x"] + 2


@pytest.mark.parametrize("form", FORMS)
def test_each_form_has_defaults(project, form):
    written(project, FORMS[form])
    params = load(project.study().ref).params
    assert defaults_of(params, {"x"}) == {"width": 16, "sizes": [3]}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_compared(project, form):
    with pytest.raises(StudyInvalid) as refused:
        written(project, FORMS[form], fixed="widht = 2\nsizes = 'many'\nwidth = 1.5")
    said = str(refused.value)
    kinds = "field in P (fields" if "class P" in FORMS[form] else "argument of train() (arguments"
    assert f"no such {kinds}: x, width, sizes). Did you mean width?" in said
    assert "1.5 is not an int, the type of " in said
    assert "'many' is not a list[int], the type of " in said


@pytest.mark.parametrize("form", FORMS)
def test_what_has_no_default_is_wanted(project, form):
    more = "y: float\n    x: float" if "class P" in FORMS[form] else "y: float, x: float"
    with pytest.raises(StudyInvalid, match=r"(P\.y|y of train\(\)) has no default: give it in \[space\] or \[fixed\]"):
        written(project, FORMS[form].replace("x: float", more))


@pytest.mark.parametrize("form", ["named", "pydantic", "attrs"])
def test_changed_default_changes_study(project, config, form):
    hpo.run(written(project, FORMS[form]), config)
    assert api.show("toy", 0, config)[1][0].defaults == {"width": 16, "sizes": [3]}
    with pytest.raises(StudyChanged, match=r"default\.width +16 +-> +17"):
        hpo.run(written(project, FORMS[form].replace("16", "17")), config)


def test_a_path_is_the_project_s(project, config):
    code = "from pathlib import Path\n"
    code += "def train(x: float, file: Path = Path('a.txt'), *, ctx):\n    return len(file.read_text())\n"
    project.write("a.txt", "four")
    hpo.run(written(project, code), config)
    assert api.show("toy", 0, config)[0].value == 4.0


def test_a_config_of_omegaconf(project, config):
    pytest.importorskip("omegaconf", reason="pip install omegaconf")
    code = (
        "from omegaconf import DictConfig\ndef train(cfg: DictConfig, ctx):\n    return cfg.x + cfg.get('width', 16)\n"
    )
    hpo.run(written(project, code), config)
    trial = api.show("toy", 0, config)[0]
    assert trial.value == trial.params["x"] + 16


OBJECTS = {
    "object": "class T:\n  def __call__(self, x: float, width: int = 16, *, ctx):\n    return x + width\ntrain = T()\n",
    "generator": "class T:\n  def __call__(self, x: float, width: int = 16, *, ctx):\n    yield {'val': x}\n"
    "    yield {'val': x + width}\ntrain = T()\n",
    "objective": "class T:\n  def __call__(self, trial):\n    return trial.suggest_float('x', 0, 1) + 16\n"
    "train = T()\n",
}


@pytest.mark.parametrize("form", OBJECTS)
def test_objects_that_can_be_called(project, config, form):
    hpo.run(written(project, OBJECTS[form]), config)
    trial = api.show("toy", 0, config)[0]
    assert (trial.error, trial.value) == (None, trial.params["x"] + 16)


def test_a_dict_is_the_job_s_own(project, config):
    hpo.run(written(project, "def train(params):\n    params['x'] = 1\n    params['z'] = 2\n    return 1.0\n"), config)
    assert "z" not in api.show("toy", 1, config)[1][0].job.params
