"""A Ray of two machines, as `ray start` makes it: the second one knows nothing of the driver's environment."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import forked
import pytest

import hpo
from hpo import api

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "tests" / "project"
START = [sys.executable, "-c", "from ray.scripts.scripts import main; main()", "start", "--block"]
START += ["--disable-usage-stats", "--num-cpus=2"]
TRIALS = 8
RUN = [sys.executable, "-c", "from hpo.cli import main; main()", "run", "--study", "curve", "--trials", str(TRIALS)]
pytestmark = [pytest.mark.ray, pytest.mark.slow]

SPREAD = """
import os
from pathlib import Path
from toys.curve import CurveParams, train as curve

def train(params: CurveParams, ctx):
    for epoch, metrics in enumerate(curve(params, ctx), 1):
        machine = int(os.environ["MACHINE"])
        if epoch == 3 and machine == 2:
            (Path(__file__).parent / "third-epoch-on-2").touch()
        yield {**metrics, "machine": machine, "driver": float("ONLY_THE_DRIVER_S" in os.environ)}
"""


@pytest.fixture
def project(tmp_path):
    """A user's project on a path that both machines share; its trainable says on which one it runs."""
    folder = tmp_path / "own"
    shutil.copytree(PROJECT / "toys", folder / "toys", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "spread.py").write_text(SPREAD)
    (folder / "studies").mkdir()
    text = (PROJECT / "studies" / "curve.toml").read_text()
    text = text.replace("toys.curve:train", "spread:train").replace("budget = 5", 'budget = 6\npruner = "none"')
    (folder / "studies" / "curve.toml").write_text(text + "[fixed]\nnap = 0.8\n")
    return folder


class Machine:
    """One node: `ray start` in a folder and an environment of its own, in which hpo is installed."""

    def __init__(self, number, folder, *arguments):
        installed = folder / f"site-{number}"
        installed.mkdir(parents=True)
        (installed / "hpo").symlink_to(ROOT / "hpo")
        environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        environment |= {"PYTHONPATH": str(installed), "MACHINE": str(number), "RAY_AUTH_MODE": "disabled"}
        self.log = folder / f"machine-{number}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*START, *arguments], cwd=installed, env=environment, stdout=log, stderr=subprocess.STDOUT
            )
        end = time.monotonic() + 400
        while "will now block" not in self.log.read_text():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.1)

    def kill(self, descendants):
        """Takes the power away."""
        for pid in [self.process.pid, *descendants(self.process.pid)]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()


@pytest.fixture
def machines(descendants, one_head):
    """Starts machines of one cluster: the first is its head. Each is made with more arguments of `ray start`."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # a socket's path has to be short
    port = free_port()
    started = []

    def start(*arguments):
        more = [f"--address=127.0.0.1:{port}"]
        if not started:
            more = ["--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={folder}"]
        started.append(Machine(len(started) + 1, folder, *more, *arguments))
        return f"127.0.0.1:{port}", started[-1]

    yield start
    for machine in reversed(started):
        machine.kill(descendants)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def cluster(machines):
    """Two machines of two cores; the address of the first."""
    (address, first), (_, second) = machines(), machines()
    return address, [first, second]


def free_port():
    """Returns a port below those that Ray gives its workers."""
    for port in range(6400, 9900):
        with socket.socket() as found:
            try:
                found.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


def started(project, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": "disabled", "ONLY_THE_DRIVER_S": "yes"}
    return forked.Popen(
        [*RUN, *arguments],
        cwd=project,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def evaluations(project, name):
    """Returns the trials, and the one evaluation that each has."""
    config = hpo.RunConfig(storage=f"sqlite:///{project / name}")
    found = [api.show("curve", number, config) for number in range(TRIALS)]
    assert [len(evaluations) for _, evaluations in found] == [1] * TRIALS
    return [trial for trial, _ in found], [evaluations[0] for _, evaluations in found]


def table(trials):
    return [(trial.number, trial.state, trial.params, trial.value, trial.values) for trial in trials]


def test_losing_a_node_changes_no_result(project, cluster, descendants):
    address, (_, second) = cluster
    driver = started(project, "--ray-address", address)
    try:
        end = time.monotonic() + 400
        while not (project / "third-epoch-on-2").exists():
            assert driver.poll() is None, driver.communicate()
            assert time.monotonic() < end, "the second machine trains nothing"
            time.sleep(0.02)
        second.kill(descendants)
        _, errors = driver.communicate(timeout=400)
    finally:
        driver.kill()
    assert driver.returncode == 0, errors
    trials, found = evaluations(project, "hpo.db")
    machines = [[int(report.metrics["machine"]) for report in one.reports] for one in found]
    moved = [row for row in machines if row == sorted(row, reverse=True) and set(row) == {1, 2}]
    assert moved, f"no training moved from the second machine to the first: {machines}"
    assert {report.metrics["driver"] for one in found for report in one.reports} == {0.0}
    study = project / "studies" / "curve.toml"
    study.write_text(study.read_text().replace("nap = 0.8", "nap = 0.0"))
    undisturbed = forked.run(
        [*RUN, "--backend", "local", "--storage", "sqlite:///calm.db"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MACHINE": "0"},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert undisturbed.returncode == 0, undisturbed.stderr
    assert table(trials) == table(evaluations(project, "calm.db")[0])


def test_local_work_folders_are_reported(project, cluster):
    address, _ = cluster
    done = forked.run(
        [*RUN[:3], "doctor", "--study", "curve", "--ray-address", address],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": "disabled"},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"answers at {address}: 2 machines, 4 trainings at a time" in done.stdout
    assert "attention  workdir " in done.stdout
    assert "every machine has to see the same folder" in done.stdout


def test_machines_may_join_late(project, machines):
    """The head of a cluster is there first, and gives no CPU to trainings."""
    address, _ = machines("--num-cpus=0")
    driver = started(project, "--ray-address", address)
    try:
        for line in driver.stderr:
            if line.startswith("waiting up to 60 s for a machine with CPU to join"):
                break
        machines()
        _, errors = driver.communicate(timeout=300)
    finally:
        driver.kill()
    assert driver.returncode == 0, errors
    assert "starting 2 workers" in errors
