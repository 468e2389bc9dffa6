"""Promotions in Optuna's own dashboard."""

from __future__ import annotations

import time

import hpo
from hpo.api.board import boards
from hpo.web import projection
from hpo.web.projection import project
from tests.web.conftest import study


def test_the_dashboard_shows_a_promotion_by_its_own_means(client, promoted_place):
    with boards(promoted_place) as found:
        project(found, "curve")
        winner = found.ranking("curve").winner.candidate.trial
    shown = client.get("/api/studies/1").json()
    attributes = {one["key"]: one["value"] for one in shown["user_attrs"]}
    assert "/robustness/curve" in attributes["hpo:promoted"]
    assert "Winner: trial" in shown["note"]["body"]
    assert "/robustness/curve" in shown["note"]["body"]
    assert [one["id"] for one in shown["plotly_graph_objects"]] == ["hpo-robustness"]
    noted = {trial["number"]: trial["note"]["body"] for trial in shown["trials"]}
    assert noted[winner].startswith("# PROMOTED: rank 1")
    assert [number for number, note in noted.items() if note] == [winner]


def test_it_is_written_once_and_again_after_another_promotion(tmp_path):
    place = hpo.Place(storage=f"sqlite:///{tmp_path / 'hpo.db'}", outputs=tmp_path / "outputs", backend="local")
    hpo.run(study("curve"), place)
    with boards(place) as found:
        assert not project(found, "curve")
        hpo.promote(study("curve"), place, top=2)
        assert [project(found, "curve"), project(found, "curve")] == [True, False]
        hpo.promote(study("curve"), place, top=3)
        assert [project(found, "curve"), project(found, "curve")] == [True, False]
    assert len(hpo.run(study("curve"), place, trials=8).trials) == 8, "what was noted does not disturb the search"


def test_a_server_keeps_looking_for_new_promotions(tmp_path, monkeypatch):
    monkeypatch.setattr(projection, "SECONDS", 0.05)
    place = hpo.Place(storage=f"sqlite:///{tmp_path / 'hpo.db'}", outputs=tmp_path / "outputs", backend="local")
    hpo.run(study("curve"), place)
    with boards(place) as found, projection.projecting(found):
        for top in (2, 3):
            hpo.promote(study("curve"), place, top=top)
            end = time.monotonic() + 20
            while projected(found) != len(found.ranking("curve").ranking.rows) and time.monotonic() < end:
                time.sleep(0.05)
            assert projected(found) == top


def projected(found):
    """Returns how many candidates the dashboard's note on the study tells of."""
    shown, _ = found.durable.handles("curve", 0)
    note = "".join(v for k, v in shown._storage.get_study_system_attrs(shown._study_id).items() if "note_str" in k)
    return len([line for line in note.splitlines() if line.startswith("|      ")])
