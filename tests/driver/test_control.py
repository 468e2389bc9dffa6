"""A study steered from another terminal: real drivers are paused, resumed and stopped."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path

import forked
import pytest

import hpo as library
from hpo import api

PROJECT = Path(__file__).parents[1] / "project"
ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from hpo.cli import main; main()"]
TRIALS = 10  # a request takes a moment to arrive on a busy machine, and trials must be left then
RUN = ["run", "--study", "slow", "--trials", str(TRIALS)]
LOCAL = ["--backend", "local"]
HERE = pytest.param("local", marks=pytest.mark.soak)  # a driver on Postgres is paused and stopped there too
IN_PROCESSES = pytest.param("processes", marks=pytest.mark.slow)
ON_RAY = pytest.param("ray", marks=[pytest.mark.ray, pytest.mark.slow])


def own_project(folder):
    """Makes a user's project, whose trainings take some time and record the epochs that they trained."""
    shutil.copytree(PROJECT / "toys", folder / "toys", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "studies").mkdir()
    (folder / "trained").mkdir()
    text = (PROJECT / "studies" / "curve.toml").read_text().replace('"curve"', '"slow"')
    text = text.replace("[search]", f'[fixed]\nnap = 0.3\nflags = "{folder}/trained"\n[search]')
    (folder / "studies" / "slow.toml").write_text(text)
    return folder


@pytest.fixture
def project(tmp_path):
    return own_project(tmp_path / "own")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The study's table when nobody pauses or stops it."""
    folder = own_project(tmp_path_factory.mktemp("undisturbed") / "own")
    return facts(hpo(folder, *RUN, *LOCAL, "--json").stdout)


def environment(url=None):
    return {**os.environ, "PYTHONPATH": str(ROOT), **({"HPO_STORAGE": url} if url else {})}


def hpo(folder, *arguments, url=None):
    return forked.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env=environment(url),
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


class Driver:
    """A driver that has finished two trials."""

    def __init__(self, project, *arguments, url=None):
        self._log = project / "driver.log"
        with self._log.open("w") as log:
            self.process = forked.Popen(
                [*COMMAND, *arguments], cwd=project, env=environment(url), stdout=log, stderr=log
            )
        self.until("[2/")

    @property
    def output(self):
        return self._log.read_text()

    def until(self, text):
        end = time.monotonic() + 400  # a guard against hanging: Ray's workers get what other processes leave
        while text not in self.output:
            assert self.process.poll() is None, self.output
            assert time.monotonic() < end, self.output
            time.sleep(0.05)


@pytest.fixture
def driver(project):
    started = []

    def start(*arguments, url=None):
        started.append(Driver(project, *arguments, url=url))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()


def on(backend, request):
    """Returns the options for a backend."""
    if backend == "ray":
        request.getfixturevalue("at_ray")
    if backend == "local":
        return LOCAL
    return ["--backend", "local" if backend == "processes" else backend, "--concurrency", "2"]


def config(project):
    return library.RunConfig(storage=f"sqlite:///{project / 'hpo.db'}", outputs=project / "outputs", backend="local")


def facts(text):
    return [(t["state"], t["params"], t["value"], t["values"]) for t in json.loads(text)["trials"]]


def epochs_of(project):
    """Returns the epochs of each training in the order in which they were trained."""
    return {file.name: file.read_text().split() for file in (project / "trained").iterdir()}


@pytest.mark.parametrize("backend", [HERE, IN_PROCESSES, ON_RAY])
def test_stopped_driver_resumes_on_next_run(project, driver, undisturbed, request, backend):
    running = driver(*RUN, *on(backend, request))
    asked = api.stop("slow", config(project))
    assert (asked.changed, asked.driver.pid, asked.driver.verb) == (True, running.process.pid, "run")
    assert running.process.wait(timeout=400) == 0, "it did what it was asked"
    assert "stopping because of hpo stop" in running.output
    assert "Stopped. Continue with: hpo run --study slow" in running.output
    assert f"[{TRIALS}/{TRIALS}]" not in running.output, "it went on to the end"
    assert "slow has no running driver. Continue with: hpo run" in hpo(project, "stop", "--study", "slow").stdout
    assert facts(hpo(project, *RUN, *LOCAL, "--json").stdout) == undisturbed
    assert all(len(set(one)) == len(one) for one in epochs_of(project).values()), "an epoch was trained twice"


@pytest.mark.parametrize("backend", [HERE, IN_PROCESSES, ON_RAY])
def test_paused_driver_waits_for_resume(project, driver, undisturbed, request, backend):
    running = driver(*RUN, *on(backend, request))
    api.pause("slow", config(project))
    running.until("paused: running trainings finish")
    end = time.monotonic() + 400
    while api.status("slow", config(project))[0].counts.get("running"):
        assert time.monotonic() < end, "what ran does not end"
        time.sleep(0.1)
    over = epochs_of(project)
    assert len(over) < TRIALS
    time.sleep(1.0)
    assert epochs_of(project) == over, "something new has begun"
    assert running.process.poll() is None, "it does not wait"
    assert "paused" in hpo(project, "status").stdout
    assert "Its driver continues" in hpo(project, "resume", "--study", "slow").stdout
    assert running.process.wait(timeout=400) == 0
    assert "resumed" in running.output
    assert facts(hpo(project, *RUN, *LOCAL, "--json").stdout) == undisturbed


@pytest.mark.slow
def test_paused_driver_can_be_stopped(project, driver, undisturbed):
    running = driver(*RUN, *LOCAL)
    api.pause("slow", config(project))
    running.until("paused:")
    assert "slow is already paused. Running trainings finish" in hpo(project, "pause", "--study", "slow").stdout
    asked = hpo(project, "stop", "--study", "slow")
    assert f"pid {running.process.pid}" in asked.stdout
    assert running.process.wait(timeout=400) == 0
    refused = hpo(project, *RUN, *LOCAL)
    assert refused.returncode == 2
    assert "study 'slow' is paused since" in refused.stderr
    assert "hpo resume --study slow" in refused.stderr
    assert "is paused since" in hpo(project, "promote", "--study", "slow", *LOCAL).stderr
    resumed = hpo(project, "resume", "--study", "slow", "--json")
    assert json.loads(resumed.stdout) == {
        "study": "slow",
        "changed": True,
        "driver": None,
        "paused": False,
        "job": None,
    }
    assert facts(hpo(project, *RUN, *LOCAL, "--json").stdout) == undisturbed


@pytest.mark.slow
def test_promotion_can_be_paused_and_stopped(project, driver):
    assert hpo(project, *RUN, *LOCAL).returncode == 0
    running = driver("promote", "--study", "slow", "--top", "2", *LOCAL)
    api.pause("slow", config(project))
    running.until("paused:")
    api.stop("slow", config(project))
    assert running.process.wait(timeout=400) == 0, running.output
    assert "Stopped. Continue with: hpo promote --study slow" in running.output
    assert not (project / "outputs" / "slow").exists(), "half a promotion was written"


@pytest.mark.slow
def test_stop_now_and_take_over(project, driver, undisturbed):
    running = driver(*RUN, *LOCAL)
    api.pause("slow", config(project))
    running.until("paused:")
    api.resume("slow", config(project))
    ended = api.stop("slow", config(project), now=True)
    assert (ended.changed, ended.driver) == (True, None)
    running.process.wait(timeout=1)
    assert facts(hpo(project, *RUN, *LOCAL, "--json").stdout) == undisturbed


@pytest.mark.slow
@pytest.mark.postgres
def test_control_of_a_driver_on_postgres(project, driver, undisturbed, postgres_url):
    there = library.RunConfig(storage=postgres_url)
    running = driver(*RUN, *LOCAL, url=postgres_url)
    api.pause("slow", there)
    running.until("paused:")
    api.resume("slow", there)
    running.until("resumed")
    api.stop("slow", there)
    assert running.process.wait(timeout=400) == 0, running.output
    assert facts(hpo(project, *RUN, *LOCAL, "--json", url=postgres_url).stdout) == undisturbed


@pytest.mark.parametrize("verb", [api.pause, api.resume, api.stop])
def test_unknown_study_is_named(project, curve, verb):
    with pytest.raises(library.UsageError, match="there is no storage"):
        verb("slow", config(project))
    api.run(curve(name="other", search={"trials": 1}), config(project))
    with pytest.raises(library.UsageError, match=r"no study named 'slow'.*Stored there: other"):
        verb("slow", config(project))
