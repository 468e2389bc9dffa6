"""A trainable edited between two runs is reported before anything is trained, and its results are marked."""

from __future__ import annotations

import json
import sys

import pytest
from projects import Project
from sqlalchemy import create_engine, text

import hpo
from hpo import api
from hpo.analysis.shown import comparison_text, verified_text
from hpo.core.errors import CodeChanged
from hpo.search.shown import search_text

FIRST, SECOND = "params.x + ctx.streams.init.numpy().random()", "params.x + 7 + ctx.streams.init.numpy().random()"


class Listener(hpo.Observer):
    """Keeps the messages, and can stop a search."""

    def __init__(self, stops_after=None):
        self.messages, self._stops_after, self._steps = [], stops_after, 0

    def phase(self, message):
        self.messages.append(message)

    def reported(self, job, step, value):
        self._steps += 1

    def is_set(self):
        return self._stops_after is not None and self._steps >= self._stops_after


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    made = Project(tmp_path / "project")
    yield made
    made.forget()


def values(config, *trials):
    return [[one.value for one in api.show("toy", trial, config)[1]] for trial in trials]


@pytest.fixture(scope="module")
def promoted(module_config):
    """The folder of a project whose study was searched and promoted."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "path", list(sys.path))
        made = Project(module_config.outputs.parent / "project")
        hpo.run(made.study(), module_config)
        hpo.promote(made.study(), module_config)
        made.forget()
    return made.folder


@pytest.fixture
def edited(promoted, restored_config, monkeypatch):
    """That project with its trainable edited since, and its values before."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    made = Project(promoted)
    made.toy(value=SECOND)
    yield made, restored_config, values(restored_config, 0, 1)
    made.forget()


@pytest.mark.parametrize("verb", [hpo.run, hpo.promote, api.decompose, api.replay])
def test_changed_code_is_refused(edited, verb):
    project, config, before = edited
    listener, more = Listener(), {} if verb in (hpo.run, hpo.promote) else {"trial": 0}
    with pytest.raises(
        CodeChanged, match=r"has changed since it was last run: toy\.py changed\. 6 trainings"
    ) as refused:
        verb(project.study(), config, observers=[listener], **more)
    assert "--accept-code-change" in str(refused.value)
    assert values(config, 0, 1) == before
    assert listener.messages == []


def test_other_code_is_retrained(edited):
    project, config, before = edited
    listener = Listener()
    outcome = hpo.promote(project.study(), config, accept_code_change=True, observers=[listener])
    assert "accepted: 6 trainings of other code are kept and marked" in listener.messages[0]
    assert outcome.trained == 4
    for old, new in zip(before, values(config, 0, 1), strict=True):
        assert new[0] == old[0]  # the search value, on which later proposals depend
        assert new[1:] == pytest.approx([value + 7 for value in old[1:]])
    remarks = [one.remarks for one in api.show("toy", 0, config)[1]]
    assert remarks[0] == ()
    assert "trained again because the code changed (toy.py changed); the old one had value " in remarks[1][0]
    assert hpo.promote(project.study(), config).trained == 0
    kept = json.loads(_one(config, "SELECT codes FROM hpo_studies"))
    assert [one["accepted"] for one in kept] == [False, True]
    assert [set(one["files"]) for one in kept] == [{"toy.py"}, {"toy.py"}]


def test_reverted_code_continues(edited):
    project, config, _ = edited
    with pytest.raises(CodeChanged):
        hpo.promote(project.study(), config)
    project.toy(value=FIRST)
    assert hpo.promote(project.study(), config).trained == 0


def test_edit_of_imported_file_counts(project, config):
    project.write("helper.py", "ADDED = 0")
    project.toy(head="import helper", value="params.x + helper.ADDED")
    hpo.run(project.study(), config)
    project.write("helper.py", "ADDED = 1")
    with pytest.raises(CodeChanged, match=r"helper\.py changed"):
        hpo.run(project.study(), config)
    project.write("helper.py", "ADDED = 0  # as before")
    hpo.run(project.study(), config)


@pytest.mark.slow
def test_interrupted_trial_restarts(project, config):
    project.toy(value="params.x", head="import torch")
    loop = "model = torch.nn.Linear(1, WIDTH)\n    for epoch in ctx.epochs(model=model):"
    text_ = (project.folder / "toy.py").read_text().replace("for epoch in ctx.epochs():", loop)
    project.write("toy.py", "WIDTH = 2\n" + text_)
    project.study_file(budget=4)
    listener = Listener(stops_after=2)
    hpo.run(project.study(), config, observers=[listener], stop=listener)
    assert api.status("toy", config)[0].counts == {"running": 1}
    project.write("toy.py", "WIDTH = 3\n" + text_.replace('"val": params.x', '"val": params.x + 7'))
    listener = Listener()
    outcome = hpo.run(project.study(), config, observers=[listener])
    assert [trial.state for trial in outcome.trials] == ["complete", "complete"]
    assert listener.messages[0].startswith("the code has changed since the study was last run (toy.py changed)")
    assert set(outcome.trials[0].values.values()) == {outcome.trials[0].params["x"] + 7}
    assert outcome.trials[0].code == outcome.trials[1].code
    [one] = api.show("toy", 0, config)[1]
    assert one.remarks[0] in {
        f"{name} was written before the code was changed: started over"
        for name in ("checkpoint.pt", "checkpoint-previous.pt")
    }


def test_restarted_trial_drops_later_steps(project, config):
    project.study_file(budget=4)
    listener = Listener(stops_after=3)
    hpo.run(project.study(), config, observers=[listener], stop=listener)
    project.toy(value="[params.x, None][epoch > 1]", head="")
    outcome = hpo.run(project.study(), config)
    assert [trial.state for trial in outcome.trials] == ["failed", "failed"]
    assert list(outcome.trials[0].values) == [1]
    assert list(api.show("toy", 0, config)[0].values) == [1]


def test_failed_trials_allow_fixed_code(project, config):
    project.toy(value="no_such_name")
    hpo.run(project.study(), config)
    project.toy()
    project.study_file(trials=4)
    listener = Listener()
    outcome = hpo.run(project.study(), config, observers=[listener])
    assert [trial.state for trial in outcome.trials] == ["complete"] * 4, "failed trials are trained again"
    assert "no valid training used the old code" in listener.messages[0]


def test_database_without_code_continues(project, config):
    hpo.run(project.study(), config)
    _change(config, "UPDATE hpo_studies SET codes = NULL")
    _change(config, "UPDATE hpo_evaluations SET fingerprint = '{}'")
    project.study_file(trials=3)
    listener = Listener()
    hpo.run(project.study(), config, observers=[listener])
    assert "the code of 2 trainings is not known, because an earlier version" in listener.messages[0]
    project.toy(value=SECOND)
    with pytest.raises(CodeChanged, match="3 trainings in it used the old code"):
        hpo.run(project.study(), config)


def test_other_code_is_another_training(project, config):
    project.write(
        "studies/toy.toml",
        (project.folder / "studies/toy.toml").read_text().replace("float = [0.0, 1.0]", "choice = [0.5]"),
    )
    hpo.run(project.study(), config)
    project.toy(value=SECOND)
    outcome = hpo.run(project.study(), config, trials=4, accept_code_change=True)
    found = [trial.value for trial in outcome.trials]
    assert found == pytest.approx([found[0], found[0], found[0] + 7, found[0] + 7])


def _change(config, statement):
    engine = create_engine(config.storage)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def _one(config, query):
    engine = create_engine(config.storage)
    with engine.connect() as connection:
        found = connection.execute(text(query)).scalar()
    engine.dispose()
    return found


def test_verify_names_the_code(edited):
    project, config, _ = edited
    [one] = api.verify(project.study(), config, trial=0, seed=41)
    printed = verified_text([one])
    assert "the code is another than was recorded (toy.py changed): the difference may be its doing" in printed
    assert "deterministic" not in printed
    assert "sha256" not in printed


@pytest.mark.slow
def test_tables_mark_other_code(edited):
    project, config, _ = edited
    outcome = hpo.run(project.study(), config, trials=3, accept_code_change=True)
    assert outcome.of_other_code == [0, 1]
    assert list(outcome.frame().other_code) == [True, True, False]
    assert "Trained with other code than there is now, so their values do not compare: trial 0, 1." in (
        search_text(outcome, promotes=False)
    )
    stale = api.rank_stored(project.study(), config)
    assert stale.other_code == {0: "search value and replicates", 1: "search value and replicates"}
    assert any("other code" in line for line in stale.warnings)
    fresh = hpo.promote(project.study(), config, top=3).report
    assert fresh.other_code == {0: "search value", 1: "search value"}
    assert [row["other_code"] for row in sorted(fresh.rows(), key=lambda row: row["trial"])] == [
        "search value",
        "search value",
        "",
    ]
    assert "the search value of trial 0, 1" in (config.outputs / "toy" / "promotion.md").read_text()


def test_compare_warns_of_other_code(edited):
    project, config, _ = edited
    hpo.run(project.study(), config, trials=3, accept_code_change=True)
    winner = hpo.promote(project.study(), config, top=1).ranking.winner.candidate.trial
    assert winner == 2
    found = api.compare("0", "2", project.study(), config)
    assert "toy.py changed" in (found.code or "")
    assert found.code in comparison_text(found)
