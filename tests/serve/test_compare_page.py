"""The page that compares two studies, or two trials of one study."""

from __future__ import annotations

import re

import pytest

from hpo.serve.pages.comparing import contest_of
from hpo.serve.views import study_view


@pytest.fixture(scope="module")
def views(promoted_config):
    return study_view("curve", promoted_config), study_view("idle", promoted_config)


def test_params_that_differ_are_marked(client, views):
    first, second = (row.candidate.trial for row in views[0].report.ranking.rows[:2])
    page = client.get(f"/compare?study=curve&trial={first}&trial={second}").text
    one, other = views[0].trial(first).params, views[0].trial(second).params
    for name in one.keys() & other.keys():
        row = re.search(rf'<tr([^>]*)><th scope="row" class="word">{name}</th>(.*?)</tr>', page)
        assert ("differs" in row[2]) == (one[name] != other[name])
    assert 'id="overlaid"' in page
    assert 'id="differences"' in page


def test_pairs_are_those_of_the_ranking(views):
    first, second = views[0].report.ranking.rows[:2]
    contest = contest_of([views[0]], [first.candidate.trial, second.candidate.trial])
    wins = sum(one > other for one, other in zip(*map(views[0].report.ranking.values, (first, second)), strict=True))
    [drawn] = [one for one in contest.drawn if one.name == "differences"]
    assert f"on {wins} of 3 seeds" in drawn.says


def test_two_studies_by_their_best(client, views):
    page = client.get("/compare?study=curve&study=idle").text
    assert "idle has no replicates: its only value is the one of the search." in page
    assert 'id="histories"' in page
    contest = contest_of(views, [])
    assert contest.sides[0].trial.number == views[0].winner
    assert contest.sides[1].trial.number == views[1].progress.incumbent.number


def test_nothing_is_chosen_yet(client):
    page = client.get("/compare").text
    assert "<option>idle</option>" in page or "<option selected>idle</option>" in page
    assert 'id="facts"' not in page


@pytest.mark.parametrize(
    ("query", "status", "detail"),
    [
        ("study=curve", 400, "1 studies and 0 trials"),
        ("study=curve&trial=0&trial=99", 400, "no trial 99"),
        ("study=curve&study=nope", 404, "no study named"),
        ("study=curve&study=idle&study=curve", 422, "study"),
        ("trial=1&trial=2", 400, "0 studies and 2 trials"),
        ("study=curve&trial=x&trial=1", 422, "trial"),
    ],
)
def test_a_bad_choice_is_a_problem(client, query, status, detail):
    answer = client.get(f"/compare?{query}")
    assert answer.status_code == status
    assert detail in answer.json()["detail"]
