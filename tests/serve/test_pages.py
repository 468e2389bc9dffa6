"""The pages and the report in a single file."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

import hpo
from hpo import api
from hpo.core.errors import NothingToPromote, UsageError
from hpo.core.formatting import number
from hpo.serve.pages import study_page
from hpo.serve.pages.strip import strips
from hpo.serve.views import study_views
from hpo.stats.ranking import Candidate, Ranking, Row
from hpo.stats.scoring import Rule
from tests.serve.conftest import Settings, TestClient, application, study


def test_leaderboard_shows_every_seed(client, promoted_config):
    page = client.get("/robustness/curve").text
    ranking = client.get("/hpo/v1/studies/curve/ranking").json()
    table = re.search(r'<table id="leaderboard".*?</table>', page, re.DOTALL)[0]
    rows = re.findall(r'<tr data-trial="(\d+)"( class="winner")?>(.*?)</tr>', table, re.DOTALL)
    assert [int(trial) for trial, _, _ in rows] == [one["trial"] for one in ranking["candidates"]]
    assert [trial for trial, mark, _ in rows if mark] == [str(ranking["winner"])]
    for (_, _, row), one in zip(rows, ranking["candidates"], strict=True):
        for seed in (42, 43, 44):
            assert f'<td data-label="seed {seed}">{number(one[f"seed_{seed}"])}</td>' in row
        assert row.count('<i class="dot seed ') == 3
    assert "Winner: trial" in page


def test_unpromoted_study_gives_advice(client):
    page = client.get("/robustness/idle").text
    assert "No promotion yet; run: hpo promote --study idle" in page
    assert 'id="leaderboard"' not in page


def test_running_promotion_is_undecided(promoted_config, tmp_path):
    from hpo.store import Store

    config = hpo.RunConfig(storage=f"sqlite:///{tmp_path / 'hpo.db'}", outputs=tmp_path / "outputs", backend="local")
    hpo.run(study("curve"), config)
    whole, part = Store(promoted_config.storage), Store(config.storage)
    replicates = whole.evaluations(whole.find("curve"), hpo.Stage.PROMOTION)
    for one in replicates[:4]:
        part.put(part.find("curve"), one)
    whole.close()
    part.close()
    found = api.study_view("curve", config)
    assert (found.is_final, len(found.report.ranking.rows)) == (False, 2)
    assert found.sentences == ["A promotion is running: 4 replicates of 2 candidates so far. Nothing is decided yet."]
    assert "not finished" in study_page(found)


def test_studies_page_lists_states(client):
    page = client.get("/robustness").text
    assert [name for name in ("curve", "idle") if f'href="/robustness/{name}"' in page] == ["curve", "idle"]
    assert "promoted" in page
    assert "searched" in page
    assert "6 of 6" in page


def test_pages_say_it_is_irreproducible(tmp_path):
    config = hpo.RunConfig(storage=f"sqlite:///{tmp_path / 'hpo.db'}", backend="local")
    hpo.run(study("drawn", trials=1, sampler="toys.samplers:Seedless"), config)
    with study_views(config) as views:
        client = TestClient(application(views, Settings(), config), base_url="http://127.0.0.1")
        pages = [client.get(path).text for path in ("/robustness", "/robustness/drawn")]
    assert 'title="sampler &#39;toys.samplers:Seedless&#39; takes no argument `seed`">not reproducible<' in pages[0]
    assert "! The search is not reproducible: sampler &#39;toys.samplers:Seedless&#39; takes" in pages[1]


class References(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in ("src", "href")]


def test_report_is_self_contained(promoted_config, tmp_path):
    path = api.write_report("curve", promoted_config, out=tmp_path / "report.html")
    text = path.read_text()
    parser = References()
    parser.feed(text)
    assert parser.found[0] == "#content"
    assert all(one.startswith("#") for one in parser.found)
    assert path.stat().st_size < 1_000_000
    assert "Winner: trial" in text
    assert "hpo verify --study curve --promotion" in text
    figures = set(re.findall(r'<figure class="[^"]*" id="([^"]+)"', text))
    assert {"history", "timeline", "curves", "optimism", "differences", "sigmas", "slice-x"} <= figures


def test_report_as_markdown_and_latex(promoted_config, tmp_path):
    markdown = api.write_report("curve", promoted_config, out=tmp_path / "r.md", kind="md").read_text()
    assert markdown == api.study_view("curve", promoted_config).report.markdown()
    assert "toprule" in api.write_report("curve", promoted_config, out=tmp_path / "r.tex", kind="latex").read_text()
    with pytest.raises(NothingToPromote, match="hpo promote --study idle"):
        api.write_report("idle", promoted_config, out=tmp_path / "x.md", kind="md")
    with pytest.raises(UsageError, match="no study named 'nope'"):
        api.write_report("nope", promoted_config, out=tmp_path / "x.md")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.md", "r.tex"]


def test_names_are_escaped(promoted_config):
    view = api.study_view("curve", promoted_config)
    table = view.study.objective_.model_copy(update={"metric": "</script><script>alert(1)</script>"})
    study = view.study.model_copy(update={"objective_": table})
    page = study_page(replace(view, report=replace(view.report, study=study)), live=True)
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_candidates_share_one_axis():
    rows = (
        Row(candidate=Candidate(trial=1, values={42: 0.0, 43: 1.0}, search_value=0.75), mean=0.5, sigma=0.25),
        Row(candidate=Candidate(trial=2, values={42: 0.5, 43: None})),
    )
    ranking = Ranking(rule=Rule(), direction="maximize", seeds=(42, 43), rows=rows)
    found = strips(ranking)
    assert found[1].points == {42: 6.0, 43: 94.0}
    assert (found[1].mean, found[1].low, found[1].high, found[1].search) == (50.0, 28.0, 72.0, 72.0)
    assert (found[2].points, found[2].mean, found[2].low) == ({42: 50.0}, None, None)
    assert strips(replace(ranking, rows=rows[1:]))[2].points == {42: 50.0}
