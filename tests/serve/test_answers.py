"""The answers in a study's page: what won, what the runner-up would lose, failures, costs, what is next."""

from __future__ import annotations

import re
import tomllib

import pytest

import hpo
from hpo.core.formatting import number
from hpo.serve.pages.answers import failures, fixed_text, next_steps, param_rows, runner_up, saved_text
from hpo.serve.pages.render import study_page
from hpo.serve.views import study_view
from tests.serve.conftest import study

QUESTIONS = [
    "What won?",
    "How sure is that?",
    "What would I lose with the runner-up?",
    "How did the search get there?",
    "Where does the noise come from?",
    "What looked wrong?",
    "What did it cost?",
    "How to reproduce it, and what next?",
]


@pytest.fixture(scope="module")
def view(promoted_config):
    return study_view("curve", promoted_config)


def test_questions_come_in_order(view):
    for live in (True, False):
        page = study_page(view, live=live)
        found = re.findall(r'<h2 id="\w+-title"><span class="n">(\d)</span> (.*?)</h2>', page)
        assert found[:8] == [(str(place), question) for place, question in enumerate(QUESTIONS, start=1)]


def test_the_winners_params_are_shown(view):
    page = study_page(view)
    won = page[page.index('id="won"') : page.index('id="sure"')]
    for name, value in view.trial(view.winner).params.items():
        shown = f"{value:.6g}" if isinstance(value, float) else str(value)
        assert re.search(rf'<th scope="row" class="word">{name}</th><td>{re.escape(shown)}</td>', won)


def test_the_runner_up_loses_what_it_lacks(view):
    first, second = view.report.ranking.rows[:2]
    found = runner_up(view)
    assert found.mean == pytest.approx(first.mean - second.mean)
    assert found.score == pytest.approx(first.score - second.score)
    assert found.score >= 0
    pairs = zip(view.report.ranking.values(first), view.report.ranking.values(second), strict=True)
    assert found.better_on == sum(one > other for one, other in pairs)
    assert number(abs(found.mean)) in found.says


def test_params_of_candidates_differ_or_not(view):
    trials = [view.trial(row.candidate.trial) for row in view.report.ranking.rows]
    for row in param_rows(trials, view.study):
        assert row.differs == (len({one.params.get(row.name) for one in trials}) > 1)


def test_fixed_params_are_toml(view):
    best = view.trial(view.winner)
    assert tomllib.loads(fixed_text(best.params, view.study)) == {**view.study.fixed, **best.params}


def test_costs_add_up(view):
    assert sum(seconds for _, seconds in view.stages.values()) == pytest.approx(view.progress.spent.seconds)
    assert {str(stage): runs for stage, (runs, _) in view.stages.items()} == {"search": 6, "promotion": 9}


def test_next_steps_are_commands_that_exist(view, promoted_config):
    commands = [step.command for step in next_steps(view) if step.command]
    assert any("--seeds 42,43,44,45,46,47" in one for one in commands)
    assert any("--confirm-seeds 45,46,47" in one for one in commands)
    idle = next_steps(study_view("idle", promoted_config))
    assert [step.command for step in idle] == ["hpo promote --study idle"]


def test_failures_are_grouped(tmp_path):
    config = hpo.RunConfig(storage=f"sqlite:///{tmp_path / 'hpo.db'}", outputs=tmp_path / "outputs", backend="local")
    faulty = study("faulty", trials=3).model_copy(update={"fixed": {"fault": "raise"}})
    hpo.run(faulty, config)
    found = study_view("faulty", config)
    [(reason, trials)] = failures(found.trials)
    assert trials == [0, 1, 2]
    page = study_page(found)
    assert "Failed trials by reason" in page
    assert reason.split(":")[0] in page


def test_pruning_saves_epochs(view):
    pruned = [one for one in view.trials if one.state == "pruned"]
    saved = sum(3 - len(one.values) for one in pruned)
    text = saved_text(view)
    assert text is None if not pruned else f"saved {saved} of" in text
