"""A promotion with several objectives on the page, in the report, in the HTTP interface and in Optuna's dashboard."""

from __future__ import annotations

import re

import pytest
from starlette.testclient import TestClient

import hpo
from hpo.core.formatting import quantity
from hpo.serve.app import application
from hpo.serve.pages.render import study_page
from hpo.serve.settings import Settings
from hpo.serve.views import study_view, study_views, write_report
from tests.serve.conftest import PROJECT, study

METRICS = {"metric": "val", "metrics": {"val": "maximize", "loss": "maximize"}}


def two(**promotion):
    """The toy study with two objectives: what one has more of the other has less of."""
    content = study("two", sampler="random", pruner="none", trials=4).content() | {"objective": METRICS}
    content["promotion"] |= {"top": 3, **promotion}
    return hpo.Study.model_validate(content).located(PROJECT)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fronts")
    config = hpo.RunConfig(storage=f"sqlite:///{folder / 'hpo.db'}", outputs=folder / "outputs", backend="local")
    hpo.run(two(), config)
    hpo.promote(two(), config)
    return config


@pytest.fixture
def client(config):
    with study_views(config) as views:
        yield TestClient(application(views, Settings(), config), base_url="http://127.0.0.1")


def test_the_page(config):
    view = study_view("two", config)
    page = study_page(view)
    winner = view.report.winner.candidate.trial
    assert "maximize val, maximize loss" in page
    assert "Candidates and their fronts" in page
    row = (
        rf'<tr class="winner"[^>]*><td data-label="rank">1</td><th [^>]*><span>{winner} <span class="tag good">★ winner'
    )
    assert re.search(row, page)
    assert "The front and its seeds" in page
    assert "Value in the search and on other seeds" not in page  # a figure of one value
    assert 'id="sensitivity"' not in page
    assert "Learning curves of the replicates" in page


def test_the_figure_has_every_seed(config):
    view = study_view("two", config)
    front = re.search(r'<figure class="[^"]*" id="front".*?</figure>', study_page(view), re.DOTALL)[0]
    for row in view.report.rows():
        for seed in (42, 43, 44):
            value, loss = (quantity(row[f"{metric}_seed_{seed}"]) for metric in ("val", "loss"))
            assert f"<title>trial {row['trial']}, seed {seed}: val {value}, loss {loss}</title>" in front
    assert ">val (maximize)</text>" in front
    assert ">loss (maximize)</text>" in front


def test_the_report_in_one_file(config, tmp_path):
    page = write_report("two", config, out=tmp_path / "report.html").read_text()
    assert "Candidates and their fronts" in page
    assert 'id="front"' in page
    assert "Hypervolume of the front" in write_report("two", config, out=tmp_path / "x.md", kind="md").read_text()


def test_a_search_alone(config):
    content = two().content() | {"name": "searched"}
    made = hpo.Study.model_validate(content).located(PROJECT)
    hpo.run(made, config)
    page = study_page(study_view("searched", config))
    assert "Front of the search: trial 0, 1, 2, 3, which no other trial dominates" in page


def test_the_http_interface(client):
    found = client.get("/hpo/v1/studies/two").json()
    assert found["objectives"] == {"val": "maximize", "loss": "maximize"}
    assert len(found["front"]) == 4
    assert found["incumbent"] is None
    ranking = client.get("/hpo/v1/studies/two/ranking?rule=mean").json()
    assert ranking["candidates"][0]["val_score"] == ranking["candidates"][0]["val_mean"]
    assert all(len(one["vector"]) == 2 for one in client.get("/hpo/v1/studies/two/trials").json())


def test_the_list_of_studies(client):
    assert "front of 4 trials" in client.get("/robustness").text


def test_the_dashboard(client):
    listed = client.get("/api/studies").json()["study_summaries"]
    (number,) = [one["study_id"] for one in listed if one["study_name"] == "two"]
    shown = client.get(f"/api/studies/{number}").json()
    assert shown["directions"] == ["maximize", "maximize"]
    assert shown["objective_names"] == ["val", "loss"]
    assert all(len(trial["values"]) == 2 for trial in shown["trials"])
    assert "Winner: trial" in shown["note"]["body"]
    assert [one["id"] for one in shown["plotly_graph_objects"]] == ["hpo-robustness"]
    attributes = {one["key"]: one["value"] for one in shown["user_attrs"]}
    assert '"objectives"' in attributes["hpo:promoted"].replace("'", '"')
