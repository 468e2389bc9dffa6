"""One process at a time trains a job: the worker of a killed driver does not disturb the one that replaces it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hpo.core.protocols import Resources, TrainableRef
from hpo.core.records import Job, Objective
from hpo.training import TrainingRun
from hpo.training.claim import FOLDER, Claim

pytest.importorskip("fcntl", reason="files are locked by fcntl")

PROJECT = Path(__file__).parents[1] / "project"
REF = TrainableRef(path="toys.nasty:train", root=str(PROJECT), objective=Objective(metric="val"))
JOB = Job(trial=0, params={"x": 0.5}, seed=41, budget=3)


@pytest.fixture
def other(tmp_path):
    """Starts another process that takes the claim, does something, prints a line and sleeps."""
    made = []

    def start(does="", sleep=60.0):
        code = (
            f"import os, sys, time; from pathlib import Path; from hpo.training.claim import Claim\n"
            f"assert Claim(Path({str(tmp_path)!r}), {JOB.digest!r}).take()\n"
            f"{does}\nprint('ready', flush=True); time.sleep({sleep})\n"
            f"Path({str(tmp_path)!r}, 'ended').touch()\n"
        )
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        made.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in made:
        process.kill()
        process.communicate()


def test_another_process_is_waited_for(tmp_path, other):
    other(sleep=0.5)
    claim = Claim(tmp_path, JOB.digest)
    assert claim.take()
    assert (tmp_path / "ended").exists()
    claim.release()
    assert not (tmp_path / FOLDER).exists()


def test_a_killed_process_has_no_claim(tmp_path, other):
    process, claim = other(), Claim(tmp_path, JOB.digest)
    assert not claim.take(patience=0.2)
    assert Claim(tmp_path, "another job").take(patience=0)
    process.kill()
    process.wait()
    assert claim.take()


def test_forks_have_no_claim(tmp_path, other):
    child = "pid = os.fork()\nif pid: print(pid, flush=True); os._exit(0)\ntime.sleep(60)"
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import os, time; from pathlib import Path; from hpo.training.claim import Claim\n"
            f"assert Claim(Path({str(tmp_path)!r}), {JOB.digest!r}).take()\n{child}",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    forked = int(process.stdout.readline())
    process.wait()
    try:
        os.kill(forked, 0)  # it lives
        assert Claim(tmp_path, JOB.digest).take(patience=0)
    finally:
        os.kill(forked, signal.SIGKILL)
        process.stdout.close()


def test_a_late_worker_deletes_nothing(tmp_path):
    """A worker of a killed driver begins the training that the next driver's worker is at."""
    code = (
        "import sys; from pathlib import Path; from hpo.core.protocols import Resources, TrainableRef\n"
        "from hpo.core.records import Job, Objective; from hpo.training import TrainingRun\n"
        f"ref = TrainableRef(path={REF.path!r}, root={REF.root!r}, objective=Objective(metric='val'))\n"
        "job = Job(trial=0, params={'x': 0.5}, seed=41, budget=3)\n"
        "from hpo.training import claim\n"
        "class Clock:\n"
        "    monotonic = staticmethod(claim.time.monotonic)\n"
        "    def sleep(seconds, real=claim.time.sleep): print('waits', flush=True); real(seconds)\n"
        "claim.time = Clock; input()\n"
        f"TrainingRun(job, ref, Resources(), {str(tmp_path)!r}).close(); print('closed')"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    late = subprocess.Popen([sys.executable, "-c", code], text=True, **pipes)  # before ours, which ends its children
    training = TrainingRun(JOB, REF, Resources(), tmp_path)
    mine = tmp_path / JOB.folder / "cwd" / "mine.txt"
    mine.touch()
    late.stdin.write("\n")
    late.stdin.flush()
    assert late.stdout.readline() == "waits\n"
    assert mine.exists()
    training.close()
    said, wrong = late.communicate()
    assert said.endswith("closed\n"), wrong


def test_a_claim_that_stays_is_a_remark(tmp_path, other, monkeypatch):
    other()
    monkeypatch.setattr("hpo.training.claim.Claim.take.__defaults__", (0.1,))
    training = TrainingRun(JOB, REF, Resources(), tmp_path)
    while (update := training.advance()).outcome is None:
        pass
    training.close()
    assert "another process still trained the same; files in its folder may be mixed" in update.outcome.remarks
