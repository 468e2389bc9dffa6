"""The HTTP API: requests generated from its schema, and its answers."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from typer.testing import CliRunner

from hpo import api
from hpo.cli.main import app
from hpo.serve.app import application
from hpo.serve.settings import Settings
from hpo.serve.views import study_views
from tests.serve.conftest import PROJECT

STUDIES = PROJECT / "studies"
PROBLEM = "application/problem+json"


@pytest.fixture
def schema(promoted_config):
    with study_views(promoted_config) as views:
        served = application(views, Settings(allowed_hosts=("localhost", "testserver")), promoted_config)
        yield schemathesis.openapi.from_asgi("/hpo/openapi.json", served)


@pytest.mark.slow
def test_schema_fuzzing_finds_no_500(schema):
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > 8

    for operation in operations:
        for mode in GenerationMode:

            @settings(max_examples=15, suppress_health_check=list(HealthCheck), database=None, derandomize=True)
            @given(case=operation.as_strategy(generation_mode=mode))
            def asked(case):
                answer = case.call()
                assert answer.status_code < 500
                if answer.status_code >= 400:
                    assert answer.headers["content-type"][0] == PROBLEM
                    assert set(answer.json()) == {"type", "title", "status", "detail"}
                    assert answer.json()["status"] == answer.status_code

            with suppress(Unsatisfiable):  # an operation without parameters has no invalid ones
                asked()


def test_agrees_with_command_line(client, promoted_config):
    ranking = client.get("/hpo/v1/studies/curve/ranking").json()
    report = api.study_view("curve", promoted_config).report
    assert ranking["winner"] == report.winner.candidate.trial
    assert ranking["candidates"] == report.rows()
    [curve, idle] = client.get("/hpo/v1/studies").json()
    assert (curve["state"], idle["state"]) == ("promoted", "searched")
    assert curve["counts"] == {state: sum(one["state"] == state for one in trials(client)) for state in curve["counts"]}
    assert client.get("/hpo/v1/studies/idle").json()["definition"]["name"] == "idle"


def test_status_has_one_shape(client, promoted_config):
    served = client.get("/hpo/v1/studies").json()
    arguments = ["status", "--json", "--storage", promoted_config.storage]
    printed = json.loads(CliRunner().invoke(app, arguments).stdout)
    for one in (*served, *printed):
        assert one["driver"].pop("silent_seconds") >= 0, "the last driver is named too"
    assert printed == served
    assert [(one["state"], one["driven"]) for one in served] == [("promoted", None), ("searched", None)]


def test_a_promotion_has_one_shape(client, promoted_config):
    served = client.get("/hpo/v1/studies/curve/ranking").json()
    assert client.get("/hpo/v1/studies/curve/board").json()["promotion"] == served
    folder = promoted_config.outputs / "curve"
    written = json.loads((folder / "promotion.json").read_text())
    assert written.pop("rows") == served["candidates"], "as the file has always called them"
    assert written.pop("results") == [path.name for path in sorted(folder.glob("results_*"))]
    assert written == served
    arguments = ["rank", "--json", "--study", "curve", "--studies", str(STUDIES), "--storage", promoted_config.storage]
    assert set(json.loads(CliRunner().invoke(app, arguments).stdout)) == set(served)


def trials(client, **query):
    return client.get("/hpo/v1/studies/curve/trials", params=query).json()


def test_trials_come_in_pages(client):
    assert [one["number"] for one in trials(client)] == list(range(6))
    assert [one["number"] for one in trials(client, offset=2, limit=3)] == [2, 3, 4]
    assert trials(client, offset=99) == []


def test_other_rule_ranks_again(client):
    by_mean = client.get("/hpo/v1/studies/curve/ranking", params={"rule": "mean"}).json()
    means = [one["mean"] for one in by_mean["candidates"]]
    assert (by_mean["rule"], means) == ("mean", sorted(means, reverse=True))
    wild = client.get("/hpo/v1/studies/curve/ranking", params={"lambda": 1000}).json()
    sigmas = [one["sigma"] for one in wild["candidates"]]
    assert sigmas == sorted(sigmas)


@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [
        ("/hpo/v1/studies/nope", 404, "no study named 'nope'"),
        ("/hpo/v1/studies/curve/trials/99", 404, "there is no trial 99"),
        ("/hpo/v1/studies/idle/ranking", 404, "hpo promote --study idle"),
        ("/hpo/v1/studies/curve/results/results_7/none", 404, "have no file results_7/none"),
        ("/hpo/v1/studies/NoName", 422, "name"),
        ("/hpo/v1/studies/curve/trials?limit=0", 422, "limit"),
        ("/hpo/v1/studies/curve/ranking?rule=best", 422, "rule"),
        ("/robustness/nope", 404, "no study named 'nope'"),
    ],
)
def test_bad_request_is_a_problem(client, path, status, detail):
    answer = client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM)
    assert detail in answer.json()["detail"]


def test_unchanged_page_is_304(client):
    first = client.get("/hpo/v1/studies/curve/fragment")
    again = client.get("/hpo/v1/studies/curve/fragment", headers={"If-None-Match": first.headers["etag"]})
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")


@pytest.mark.parametrize("path", ["/hpo/v1/studies/curve/fragment", "/robustness?fragment=true"])
@pytest.mark.parametrize(
    ("header", "status"),
    [('"x", {}', 304), ("W/{}", 304), ('W/"x",W/{}', 304), ("*", 304), ('"x"', 200), ('W/"x", "y"', 200), ("", 200)],
)
def test_if_none_match_lists(client, path, header, status):
    etag = client.get(path).headers["etag"]
    again = client.get(path, headers={"If-None-Match": header.format(etag)})
    assert (again.status_code, again.headers["etag"], again.content == b"") == (status, etag, status == 304)


def test_evaluations_list_every_epoch(client):
    [first, *_] = client.get("/hpo/v1/studies/curve/trials/0/evaluations").json()
    assert [report["step"] for report in first["reports"]] == list(range(1, len(first["reports"]) + 1))
    assert "val" in first["reports"][0]
    assert not {"files", "path"} & first.keys()
