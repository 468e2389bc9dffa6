"""Defaults of the params that the study does not set: part of what a study means, and of every record."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from projects import Project
from sqlalchemy import create_engine, text

import hpo
from hpo import api
from hpo.cli import tables
from hpo.cli.output import print_text
from hpo.core.errors import StudyChanged
from hpo.core.records import Objective
from hpo.promotion import shown as promoted
from hpo.store.identity import differences, with_defaults
from hpo.study.defaults import defaults_of


class Kind(Enum):
    SMALL = 1


@dataclass(frozen=True)
class Inner:
    a: int = 1


@dataclass(frozen=True)
class Odd:
    x: float
    kind: Kind = Kind.SMALL
    sizes: tuple[int, ...] = (3, 4)
    file: Path = Path("/project/data/list.csv")
    nothing: float | None = None
    far: float = float("inf")
    inner: Inner = Inner()
    table: dict[str, int] = field(default_factory=lambda: {"b": 2})
    made: object = field(default_factory=object)
    call: object = len
    hidden: int = field(default=1, init=False)


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    made = Project(tmp_path / "project")
    made.toy(fields="bonus: float = 0.0", value="params.x + params.bonus")
    yield made
    made.forget()


def test_defaults_become_json():
    found = defaults_of(Odd, {"x"}, "/project")
    assert found == {
        "kind": "Kind.SMALL",
        "sizes": [3, 4],
        "file": "data/list.csv",
        "nothing": None,
        "far": "inf",
        "inner": {"": "Inner", "a": 1},
        "table": {"b": 2},
        "made": "<object object>",
        "call": "builtins.len",
    }
    assert json.loads(json.dumps(found)) == found


def test_set_param_has_no_default():
    assert "sizes" not in defaults_of(Odd, {"x", "sizes"})


def test_varying_default_has_its_name():
    @dataclass
    class Params:
        when: int = field(default_factory=iter(range(9)).__next__)

    assert defaults_of(Params, ()) == defaults_of(Params, ())


def test_changed_default_changes_study(project, config, capsys):
    hpo.run(project.study(), config)
    project.toy(fields="bonus: float = 5.0", value="params.x + params.bonus")
    for verb in (hpo.run, hpo.promote, lambda *said: api.verify(*said, trial=0)):
        with pytest.raises(StudyChanged, match=r"default\.bonus +0\.0 +-> +5\.0") as refused:
            verb(project.study(), config)
        assert "does not set bonus, so the trainable's default applies: it was 0.0 and is 5.0" in str(refused.value)
    assert len(api.show("toy", 1, config)[1]) == 1


def test_fixed_old_default_is_same_study(project, config):
    hpo.run(project.study(), config)
    project.toy(fields="bonus: float = 5.0", value="params.x + params.bonus")
    project.study_file(more="fixed = { bonus = 0.0 }", trials=2)
    assert hpo.run(project.study(), config, accept_code_change=True).own == 2  # the file did change
    project.study_file(trials=2)
    with pytest.raises(StudyChanged, match="bonus"):
        hpo.run(project.study(), config)


def test_defaults_are_in_all_records(project, config, capsys):
    hpo.run(project.study(), config)
    outcome = hpo.promote(project.study(), config)
    for name in ("summary.json", "optuna_trial.json"):
        found = json.loads((outcome.results[0] / name).read_text())
        assert found.get("hpo", found)["defaults"] == {"bonus": 0.0}
    assert json.loads((outcome.results[0] / "summary.json").read_text())["params"]["bonus"] == 0.0
    assert json.loads((outcome.folder / "promotion.json").read_text())["defaults"] == {
        "0": {"bonus": 0.0},
        "1": {"bonus": 0.0},
    }
    trial, evaluations = api.show("toy", 0, config)
    assert tables.trial_values(trial, evaluations)["defaults"] == {"bonus": 0.0}
    print_text(tables.trial_text(trial, evaluations, Objective(metric="val")))
    print_text(promoted.ranking_table(outcome.report))
    assert "defaults: bonus=0.0" in (printed := capsys.readouterr().out)
    assert "the trainable's default applies: bonus = 0.0" in printed


@pytest.mark.slow
def test_conditional_default_counts(project, config):
    project.toy(fields="on: bool = True\nbonus: float = 0.0", value="params.x + params.bonus")
    more = "space.on = { choice = [true, false] }\nspace.bonus = { float = [1.0, 2.0], when = { on = true } }"
    project.write(
        "studies/toy.toml", (project.folder / "studies/toy.toml").read_text().replace("[space]", more + "\n[space]")
    )
    text_ = (project.folder / "studies/toy.toml").read_text().replace("\n[space]\nx =", "\nspace.x =")
    project.write("studies/toy.toml", text_.replace("trials = 2", "trials = 6"))
    hpo.run(project.study(), config)
    found = [(one.job.params, one.defaults) for number in range(6) for one in api.show("toy", number, config)[1]]
    assert all(defaults == ({} if params["on"] else {"bonus": 0.0}) for params, defaults in found)
    assert {params["on"] for params, _ in found} == {True, False}
    project.toy(fields="on: bool = True\nbonus: float = 0.5", value="params.x + params.bonus")
    with pytest.raises(StudyChanged, match=r"default\.bonus +0\.0 +-> +0\.5"):
        hpo.run(project.study(), config)


def test_old_study_without_defaults(project, config):
    hpo.run(project.study(), config)
    engine = create_engine(config.storage)
    with engine.begin() as connection:
        found = json.loads(connection.execute(text("SELECT identity FROM hpo_studies")).scalar())
        old = {key: value for key, value in found.items() if not key.startswith("default")}
        assert old != found
        connection.execute(text("UPDATE hpo_studies SET identity = :old"), {"old": json.dumps(old)})
    engine.dispose()
    project.study_file(trials=3)
    assert hpo.run(project.study(), config).own == 3
    project.toy(fields="bonus: float = 5.0", value="params.x + params.bonus")
    with pytest.raises(StudyChanged, match="bonus"):  # by now they are recorded
        hpo.run(project.study(), config)


NAMES = st.dictionaries(st.sampled_from("abc"), st.integers(0, 2), max_size=3)


@given(NAMES, NAMES, NAMES, NAMES)
def test_identity_has_effective_values(fixed, defaults, fixed_now, defaults_now):
    def made(fixed, defaults):
        texts = {f"fixed.{name}": repr(value) for name, value in fixed.items()}
        return with_defaults(texts, {name: value for name, value in defaults.items() if name not in fixed})

    was, is_ = defaults | fixed, defaults_now | fixed_now
    found = {key.partition(".")[2] for key in differences(made(fixed, defaults), made(fixed_now, defaults_now))}
    assert found >= {name for name in was if name in is_ and was[name] != is_[name]}
    assert not any(was.get(name) == is_.get(name) for name in found)
