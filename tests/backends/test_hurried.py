"""A training that does not end when it is to: what is left of it after a second Ctrl-C, and after its time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import forked
import psutil
import pytest

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from hpo.cli import main; main()"]

STUCK = """
import subprocess, sys, time
from dataclasses import dataclass
from pathlib import Path

@dataclass
class Params:
    x: float
    stops: bool = True

def train(params: Params, ctx):
    for epoch in ctx.epochs():
        if epoch == 2 and not (HERE / "blocked").exists():
            null = subprocess.DEVNULL
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"], stdout=null, stderr=null)
            (HERE / "spare").write_text(str(child.pid))
            (HERE / "spare").rename(HERE / "blocked")
            while True:
                try:
                    time.sleep(1000)
                except BaseException:
                    if params.stops:
                        raise
        yield {"val": params.x}

HERE = Path(__file__).parent
"""

STUDY = """
name = "stuck"
trainable = "stuck:train"
[objective]
metric = "val"
[space]
x = { float = [0.0, 1.0] }
[fixed]
stops = STOPS
[search]
trials = 1
budget = 3
"""


@pytest.fixture
def started(tmp_path):
    """Returns a function that starts a search whose training blocks, and waits until it does."""
    drivers = []

    def start(*arguments, stops=True):
        (tmp_path / "stuck.py").write_text(STUCK)
        (tmp_path / "studies").mkdir()
        (tmp_path / "studies" / "stuck.toml").write_text(STUDY.replace("STOPS", str(stops).lower()))
        driver = forked.Popen(
            [*COMMAND, "run", "--study", "stuck", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        drivers.append(driver)
        end = time.monotonic() + 400
        while not (tmp_path / "blocked").exists():
            assert driver.poll() is None, driver.communicate()
            assert time.monotonic() < end, "the training does not begin"
            time.sleep(0.05)
        return driver, psutil.Process(int((tmp_path / "blocked").read_text()))

    yield start
    for driver in drivers:
        driver.kill()
        driver.communicate()


def is_gone(process, seconds=15):
    """Whether a process ends within so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["local", pytest.param("ray", marks=pytest.mark.ray)])
def test_second_ctrl_c_stops_everything(started, backend, descendants):
    driver, child = started("--backend", backend)
    below = [psutil.Process(pid) for pid in descendants(driver.pid)]
    driver.send_signal(signal.SIGINT)
    time.sleep(1.0)
    driver.send_signal(signal.SIGINT)
    began = time.monotonic()
    driver.communicate(timeout=400)
    assert time.monotonic() - began < 10
    assert driver.returncode == -signal.SIGINT
    assert child in below
    assert [one for one in below if not is_gone(one)] == []


@pytest.mark.slow
@pytest.mark.parametrize("stops", [True, False])
def test_blocked_training_driver_exits(started, tmp_path, stops):
    """Where it swallows the interrupt, its process is ended, which is the command's own."""
    driver, child = started("--backend", "local", "--stop-wait", "1", stops=stops)
    driver.send_signal(signal.SIGINT)
    out, errors = driver.communicate(timeout=400)
    assert driver.returncode == 130, errors
    assert "trial 0 seed 41 did not finish its epoch in time after the stop and was interrupted" in errors
    assert "Traceback" not in errors
    assert "Continue with: hpo run --study stuck" in errors
    assert ("Not over: trial 0" in out) == stops
    assert is_gone(child)
    again = forked.run(
        [*COMMAND, "run", "--study", "stuck", "--backend", "local"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert again.returncode == 0, again.stderr


@pytest.mark.slow
@pytest.mark.ray
def test_children_of_blocked_workers_end(started, at_ray):
    driver, child = started("--stop-wait", "1")
    driver.send_signal(signal.SIGINT)
    out, errors = driver.communicate(timeout=400)
    assert driver.returncode == 130, errors
    assert "trial 0 seed 41 did not finish its epoch in time after the stop and was interrupted" in errors
    assert "Not over: trial 0" in out
    assert is_gone(child)
