"""Control of studies over HTTP, which needs the token."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import forked
import pytest
from starlette.testclient import TestClient

import hpo
from hpo.serve.app import application
from hpo.serve.control_routes import Cluster
from hpo.serve.settings import Settings
from hpo.serve.views import study_views
from tests.serve.conftest import TOKEN, study

ROOT = Path(__file__).parents[2]
BEARER = {"Authorization": f"Bearer {TOKEN}"}
VERBS = ("pause", "resume", "stop", "submit", "promote")


@pytest.fixture
def own(tmp_path):
    """The config of a new storage with a searched study, and a client of a server with a token."""
    config = hpo.RunConfig(storage=f"sqlite:///{tmp_path / 'hpo.db'}", outputs=tmp_path / "outputs", backend="local")
    hpo.run(study("curve"), config)
    with study_views(config) as views:
        cluster = Cluster(jobs_address="http://127.0.0.1:9", folders=(ROOT / "tests" / "project" / "studies",))
        app = application(views, Settings(token=TOKEN), config, cluster)
        yield config, TestClient(app, base_url="http://127.0.0.1")


def post(client, verb, name="curve", headers=BEARER, **body):
    return client.post(f"/hpo/v1/studies/{name}/{verb}", headers=headers, **({"json": body} if body else {}))


@pytest.mark.parametrize("verb", VERBS)
def test_control_needs_the_token(own, client, verb):
    assert post(own[1], verb, headers={}).status_code == 401
    assert post(client, verb, headers={}).status_code == 403
    assert own[1].get("/hpo/v1/studies/curve", headers=BEARER).json()["state"] == "searched"


@pytest.mark.parametrize("verb", ["pause", "resume", "stop"])
def test_unknown_study_is_404(own, verb):
    assert post(own[1], verb, name="nope").status_code == 404


def test_pause_lasts_until_resume(own):
    config, client = own
    assert post(client, "pause").json()["paused"]
    assert client.get("/hpo/v1/studies/curve", headers=BEARER).json()["state"] == "paused"
    with pytest.raises(hpo.UsageError, match="paused"):
        hpo.run(study("curve", trials=8), config)
    assert not post(client, "resume").json()["paused"]
    assert len(hpo.run(study("curve", trials=8), config).trials) == 8


def test_request_stops_a_driver(own, tmp_path):
    config, client = own
    code = (
        "import hpo, pathlib\n"
        "from tests.serve.conftest import study\n"
        f"outputs = pathlib.Path({str(config.outputs)!r})\n"
        f"config = hpo.RunConfig(storage={config.storage!r}, outputs=outputs, backend='local')\n"
        "slow = study('slow', trials=200).model_copy(update={'fixed': {'nap': 0.1}})\n"
        "print(len(hpo.run(slow, config).trials))"
    )
    process = forked.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        end = time.monotonic() + 400
        while time.monotonic() < end:
            response = client.get("/hpo/v1/studies/slow", headers=BEARER)
            if response.status_code == 200 and response.json()["counts"]:
                break
            time.sleep(0.2)
        assert response.json()["driven"]["pid"] == process.pid
        assert post(client, "stop", name="slow").json()["changed"]
        printed, _ = process.communicate(timeout=400)
        assert int(printed) < 200
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("verb", ["submit", "promote"])
def test_missing_cluster_is_a_problem(own, verb):
    answer = post(own[1], verb, trials=9) if verb == "submit" else post(own[1], verb)
    assert answer.status_code == 400
    assert "127.0.0.1:9" in answer.json()["detail"]
    assert post(own[1], verb, name="nope").status_code == 404


def test_zero_trials_are_rejected(own):
    assert post(own[1], "submit", trials=0).status_code == 422
