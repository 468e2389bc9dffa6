"""Promotions in Optuna's dashboard."""

from __future__ import annotations

import re
import time

import optuna
import pytest
from optuna_dashboard import get_note
from optuna_dashboard._custom_plot_data import get_plotly_graph_objects
from optuna_dashboard._note import get_note_from_system_attrs

import hpo
from hpo.serve import dashboard_notes
from hpo.serve.dashboard_notes import note_newest
from hpo.serve.views import study_views
from hpo.store.optuna_storage.notes import write_note, write_picture
from tests.serve.conftest import study


def test_dashboard_shows_a_promotion(client, promoted_config):
    with study_views(promoted_config, writes=True) as views:
        note_newest(views, "curve")
        winner = views.ranking("curve").winner.candidate.trial
    shown = client.get("/api/studies/1").json()
    attributes = {one["key"]: one["value"] for one in shown["user_attrs"]}
    assert "/robustness/curve" in attributes["hpo:promoted"]
    assert "Winner: trial" in shown["note"]["body"]
    assert "/robustness/curve" in shown["note"]["body"]
    assert [one["id"] for one in shown["plotly_graph_objects"]] == ["hpo-robustness"]
    noted = {trial["number"]: trial["note"]["body"] for trial in shown["trials"]}
    assert noted[winner].startswith("# PROMOTED: rank 1")
    assert [number for number, note in noted.items() if note] == [winner]


@pytest.mark.slow
def test_each_promotion_writes_its_notes(tmp_path):
    config = hpo.RunConfig(storage=f"sqlite:///{tmp_path / 'hpo.db'}", outputs=tmp_path / "outputs", backend="local")
    hpo.run(study("curve"), config)
    for top in (2, 3):
        hpo.promote(study("curve"), config, top=top)
        optuna_study = optuna.load_study(study_name="curve", storage=config.storage)
        assert optuna_study.metric_names == ["val"]
        rows = re.findall(r"^\| {6}", get_note(optuna_study), re.MULTILINE)
        assert len(rows) == 2 * top  # in the ranking, and in the table of the params
        winner = optuna_study.user_attrs["hpo:promoted"]["trial"]
        noted = {trial.number: note_of(optuna_study, trial) for trial in optuna_study.trials}
        assert noted[winner].startswith(f"# PROMOTED: rank 1 of {top}")
        assert list(get_plotly_graph_objects(system_attrs(optuna_study))) == ["hpo-robustness"]
        with study_views(config, writes=True) as views:
            assert not note_newest(views, "curve"), "a server has nothing to add"
    assert len(hpo.run(study("curve"), config, trials=8).trials) == 8, "what was noted does not disturb the search"


def system_attrs(found):
    return found._storage.get_study_system_attrs(found._study_id)


def note_of(found, trial):
    return get_note_from_system_attrs(system_attrs(found), trial._trial_id)["body"]


@pytest.mark.parametrize("texts", [("a" * 5000, "b" * 3000, "c"), ("", "x"), ("é" * 2045, "é" * 4090)])
def test_notes_round_trip(texts):
    made = optuna.create_study(study_name="x")
    for version, text in enumerate(texts, 1):
        write_note(made, text)
        write_picture(made, "p", text)
        assert get_note_from_system_attrs(system_attrs(made), None) == {"version": version, "body": text}
        assert get_plotly_graph_objects(system_attrs(made)).get("p", "") == text


@pytest.mark.slow
def test_failed_note_ends_no_promotion(config, curve, monkeypatch):
    def fail(*_):
        raise RuntimeError("no")

    hpo.run(curve(search={"trials": 2}), config)
    monkeypatch.setattr("hpo.promotion.promote.note_promotion", fail)
    outcome = hpo.promote(curve(search={"trials": 2}), config, top=1)
    assert len(outcome.results) == 3


@pytest.mark.slow
def test_server_finds_new_promotions(tmp_path, monkeypatch):
    monkeypatch.setattr(dashboard_notes, "POLL_SECONDS", 0.05)
    config = hpo.RunConfig(storage=f"sqlite:///{tmp_path / 'hpo.db'}", outputs=tmp_path / "outputs", backend="local")
    hpo.run(study("curve"), config)
    with study_views(config, writes=True) as views, dashboard_notes.noting_promotions(views):
        for top in (2, 3):
            hpo.promote(study("curve"), config, top=top)
            end = time.monotonic() + 400
            while noted_candidates(views) != len(views.ranking("curve").ranking.rows) and time.monotonic() < end:
                time.sleep(0.05)
            assert noted_candidates(views) == top


def noted_candidates(views):
    """Returns the number of candidates in the dashboard's note on the study."""
    shown = views.durable.handle("curve")
    note = "".join(v for k, v in shown._storage.get_study_system_attrs(shown._study_id).items() if "note_str" in k)
    rows = [line for line in note.splitlines() if line.startswith("|      ")]
    return len(rows) // 2  # a row in the ranking, and one in the table of the params
