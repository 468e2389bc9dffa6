"""A study on a real cluster: `ray start --head` with its dashboard, controlled from outside."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest

import hpo as library
from hpo import api

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "tests" / "project"
COMMAND = [sys.executable, "-c", "from hpo.cli import main; main()"]
START = [sys.executable, "-c", "from ray.scripts.scripts import main; main()", "start", "--block", "--head"]
START += ["--disable-usage-stats", "--num-cpus=2", "--dashboard-host=127.0.0.1", "--dashboard-agent-listen-port=0"]
SECRET = "s3cret-of-the-database"
pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.postgres]
pytestmark += [pytest.mark.filterwarnings("ignore:ssl=None is deprecated:DeprecationWarning")]  # Ray's, of aiohttp

SEES = """
import os
from toys_of_jobs.curve import CurveParams, train as curve

def train(params: CurveParams, ctx):
    for metrics in curve(params, ctx):
        yield {**metrics, "sees": float(any(name.startswith("HPO_STORAGE") for name in os.environ))}
"""


def own_project(folder):
    """Makes a user's project under names of its own; the study of hours ends only if it is ended from outside."""
    shutil.copytree(PROJECT / "toys", folder / "toys_of_jobs", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "sees_of_jobs.py").write_text(SEES)
    (folder / "studies").mkdir()
    text = (PROJECT / "studies" / "curve.toml").read_text().replace("toys.curve:train", "sees_of_jobs:train")
    text = text.replace("trials = 20", "trials = 4")
    (folder / "studies" / "curve.toml").write_text(text)
    hours = text.replace('"curve"', '"hours"').replace("budget = 5", "budget = 10000\n[fixed]\nnap = 1.0")
    (folder / "studies" / "hours.toml").write_text(hours)
    return folder


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Cluster:
    """A head that takes jobs; its environment, and nobody else's, says by a file where the database is."""

    def __init__(self, folder, url, descendants):
        self._descendants = descendants
        self.project = own_project(folder / "own")
        self.url = url.replace("postgresql://", "postgresql+psycopg://")
        self.config = library.RunConfig(storage=url, outputs=self.project / "outputs")
        secret = folder / "storage"
        secret.write_text(f"{url}\n")
        installed = folder / "site"
        installed.mkdir()
        (installed / "hpo").symlink_to(ROOT / "hpo")
        self.address = f"http://127.0.0.1:{free_port()}"
        environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        environment["PATH"] = (
            f"{Path(sys.executable).parent}:{environment.get('PATH', os.defpath)}"  # jobs say `python`
        )
        environment |= {"PYTHONPATH": str(installed), "HPO_STORAGE_FILE": str(secret), "RAY_AUTH_MODE": "disabled"}
        ports = [f"--port={free_port()}", f"--dashboard-port={self.address.rpartition(':')[2]}"]
        self.log = folder / "head.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*START, *ports, f"--temp-dir={folder}/ray"],
                cwd=installed,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.until(lambda: "will now block" in self.log.read_text())

    def until(self, question, seconds=90):
        end = time.monotonic() + seconds
        while not question():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, "it was never so"
            time.sleep(0.1)

    def hpo(self, *arguments):
        named = {"HPO_STORAGE": self.config.storage, "RAY_API_SERVER_ADDRESS": self.address}
        return subprocess.run(
            [*COMMAND, *arguments],
            cwd=self.project,
            env={**os.environ, "PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": "disabled", **named},
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )

    def status(self, study):
        return api.status(study, self.config)[0]

    def drives(self, study):
        driver = self.status(study).driver
        return driver is not None and driver.alive

    def jobs(self):
        """Returns all that Ray says of its jobs to whoever asks."""
        with urllib.request.urlopen(f"{self.address}/api/jobs/") as answer:
            return answer.read().decode()

    def kill(self):
        for pid in [self.process.pid, *self._descendants(self.process.pid)]:
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                continue
        self.process.wait()


@pytest.fixture(scope="module")
def postgres(postgres_server):
    """A database whose address has a password in it, as a user's would."""
    postgres_server.psql("CREATE DATABASE jobs")
    url = postgres_server.get_uri(database="jobs")
    return url.replace("postgres:@", f"postgres:{SECRET}@")


@pytest.fixture
def cluster(postgres, descendants, monkeypatch, one_head):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    folder = Path(tempfile.mkdtemp(prefix="jobs-"))  # a socket's path has to be short
    made = Cluster(folder, postgres, descendants)
    monkeypatch.chdir(made.project)
    yield made
    made.kill()
    shutil.rmtree(folder, ignore_errors=True)


def test_cluster_runs_one_driver(cluster):
    assert SECRET in cluster.config.storage
    submitted = cluster.hpo("submit", "--study", "curve", "--trials", "3", "--promote", "--top", "2")
    assert submitted.returncode == 0, submitted.stderr
    job = cluster.status("curve").job
    assert f"curve was submitted as job {job}" in submitted.stdout
    assert f"hpo-curve-{job.split('-')[2]}-1" == job
    followed = cluster.hpo("logs", "--study", "curve", "--follow")
    assert followed.returncode == 0, followed.stderr
    assert "[3/3]" in followed.stdout
    assert "Written: outputs/curve/  results_7  results_8  results_9" in followed.stdout
    assert (cluster.project / "outputs" / "curve" / "results_9").is_dir()
    [_, evaluations] = api.show("curve", 0, cluster.config)
    assert {one.metrics["sees"] for one in evaluations} == {0.0}, "a worker sees where the database is"

    hours = api.submit("hours", cluster.config, jobs_address=cluster.address)
    again = cluster.hpo("submit", "--study", "hours")
    assert again.returncode == 2
    assert hours.job in again.stderr
    cluster.until(lambda: cluster.drives("hours"))
    driver = cluster.status("hours").driver
    assert driver.job == hours.job
    assert hours.job in cluster.hpo("status").stdout
    with pytest.raises(library.UsageError, match=f"is driven by .*job {hours.job}"):
        api.submit("hours", cluster.config, jobs_address=cluster.address)
    stopped = api.stop("hours", cluster.config, now=True, jobs_address=cluster.address)
    assert (stopped.changed, stopped.driver) == (True, None)
    assert not cluster.drives("hours")
    # Not Ray's word but the database's: the next one may drive it at once, and ends in order when it is asked.
    next_one = api.submit("hours", cluster.config, jobs_address=cluster.address)
    assert next_one.job == f"{hours.job.rpartition('-')[0]}-2"
    cluster.until(lambda: cluster.drives("hours"))
    assert api.stop("hours", cluster.config, jobs_address=cluster.address).driver.job == next_one.job
    log = "".join(api.logs("hours", cluster.config, follow=True, jobs_address=cluster.address))
    assert "stopping because of hpo stop" in log
    assert f"Stopped. Continue with: hpo submit --study {cluster.project}/studies/hours.toml" in log

    listing = cluster.jobs()
    assert job in listing
    assert next_one.job in listing
    assert json.loads(listing)[0]["runtime_env"]["env_vars"].keys() == {"HPO_JOB"}
    for hidden in (SECRET, "postgresql", cluster.config.storage):
        assert hidden not in listing
        assert hidden not in log + followed.stdout or hidden == "postgresql", "the log names the database masked"
