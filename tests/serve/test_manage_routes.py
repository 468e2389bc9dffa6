"""Renaming, archiving and deleting a study over HTTP, which needs the token."""

from __future__ import annotations

import pytest

import hpo
from tests.serve.conftest import study
from tests.serve.test_control_routes import BEARER, own, post

__all__ = ["own"]


def page(client, path="/robustness"):
    return client.get(path, headers=BEARER).text


@pytest.mark.parametrize("verb", ["archive", "unarchive", "rename"])
def test_changes_need_the_token(own, client, verb):
    body = {"new": "other"} if verb == "rename" else {}
    assert post(own[1], verb, headers={}, **body).status_code == 401
    assert post(client, verb, headers={}, **body).status_code == 403
    assert 'data-name="curve"' in page(own[1])
    assert own[1].delete("/hpo/v1/studies/curve").status_code == 401
    assert client.delete("/hpo/v1/studies/curve").status_code == 403


def test_an_archived_study_is_hidden(own):
    config, client = own
    assert post(client, "archive").json() == {"study": "curve", "changed": True}
    assert post(client, "archive").json()["changed"] is False
    assert "data-archived hidden" in page(client)
    assert "1 archived too" in page(client)
    assert len(hpo.run(study("curve", trials=7), config).trials) == 7, "it can be run all the same"
    assert post(client, "unarchive").json()["changed"]
    assert "data-archived" not in page(client)


def test_a_renamed_study_keeps_its_trials(own):
    _, client = own
    assert post(client, "rename", new="bend").json() == {"study": "bend", "trials": 6, "evaluations": 6}
    assert client.get("/hpo/v1/studies/curve", headers=BEARER).status_code == 404
    assert client.get("/hpo/v1/studies/bend", headers=BEARER).json()["counts"]
    assert "bend" in page(client, "/robustness/bend")


def test_a_bad_new_name_is_rejected(own):
    assert post(own[1], "rename", new="../evil").status_code == 422
    assert post(own[1], "rename", new="curve").status_code == 400


def test_a_deleted_study_is_gone(own):
    config, client = own
    answer = client.delete("/hpo/v1/studies/curve", headers=BEARER)
    assert answer.json() == {"study": "curve", "trials": 6, "evaluations": 6}
    assert client.delete("/hpo/v1/studies/curve", headers=BEARER).status_code == 404
    assert "No study yet" in page(client)
    hpo.run(study("curve", trials=2), config)
    assert client.get("/hpo/v1/studies/curve/trials", headers=BEARER).json()[-1]["number"] == 1


def test_buttons_need_a_token(own, client):
    assert 'data-do="delete"' in page(own[1])
    assert 'data-do="delete"' not in client.get("/robustness").text
