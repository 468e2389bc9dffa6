"""Trainings in worker processes of this machine: `--backend local --concurrency N`."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import forked
import psutil
import pytest

import hpo
from hpo import api
from hpo.core.records import Status
from hpo.store import Store

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from hpo.cli import main; main()"]

TRAINABLE = """
import os, subprocess, sys, time
from pathlib import Path

VERSION = 1

def train(params, ctx):
    for epoch in ctx.epochs():
        (Path(params["notes"]) / f"{os.getpid()}").touch()
        time.sleep(params["nap"])
        if params["x"] == 1 and epoch == 2:
            match params["fault"]:
                case "exit":
                    print("about to exit", flush=True)
                    os._exit(3)
                case "child":
                    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
                    (Path(params["notes"]) / "child").write_text(str(child.pid))
                case "print":
                    os.write(1, b"x" * 10**6)
                    os.write(2, b"y" * 10**6)
                    print("printed where x is 1")
        yield {"val": params["x"] * VERSION + epoch / 10}
"""

STUDY = """
name      = "pooled"
trainable = "pooled:train"
[objective]
metric = "val"
[space]
x = {{ choice = [0, 1, 2, 3] }}
[fixed]
notes = "{notes}"
fault = "{fault}"
nap   = {nap}
[search]
sampler = "grid"
trials  = 4
budget  = 3
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Writes a project with a study whose trial with an x of 1 does something wrong; returns its folder."""
    monkeypatch.delitem(sys.modules, "pooled", raising=False)  # of another test's project

    def made(fault="", nap=0.0):
        folder = tmp_path / "own"
        (folder / "studies").mkdir(parents=True)
        (folder / "notes").mkdir()
        (folder / "pooled.py").write_text(TRAINABLE)
        (folder / "studies" / "pooled.toml").write_text(STUDY.format(notes=folder / "notes", fault=fault, nap=nap))
        return folder

    return made


@pytest.fixture
def two(config):
    """A place of its own, with two worker processes."""
    return replace(config, concurrency=2)


def study_of(folder):
    return api.load_study(str(folder / "studies" / "pooled.toml"))


def processes_of(folder):
    """The ids of the processes in which the project's trainings have run."""
    return {int(path.name) for path in (folder / "notes").iterdir() if path.name.isdecimal()}


def is_alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def await_end(pids):
    end = time.monotonic() + 400
    while left := [pid for pid in pids if is_alive(pid)]:
        assert time.monotonic() < end, left
        time.sleep(0.05)


def by_x(outcome):
    """The trials in the order of their only param: a grid is tried in an order of its own."""
    return sorted(outcome.trials, key=lambda one: one.params["x"])


def facts(outcome):
    return [(one.number, one.state, one.params, one.value, one.values) for one in by_x(outcome)]


def test_search_and_promotion_share_processes(project, two, tmp_path):
    folder = project()
    study = study_of(folder)
    with api.Workers() as workers:
        searched = hpo.run(study, two, workers=workers)
        kept = {one.pid for one in psutil.Process().children()}
        promoted = hpo.promote(study, two, workers=workers)
    assert 1 <= len(processes_of(folder)) <= 2
    assert processes_of(folder) <= kept
    await_end(processes_of(folder))
    alone = replace(two, concurrency=None, storage=f"sqlite:///{tmp_path / 'alone.db'}", outputs=tmp_path / "alone")
    assert facts(searched) == facts(hpo.run(study, alone))
    assert promoted.ranking.rows == hpo.promote(study, alone).ranking.rows


def test_one_worker_is_a_process_of_its_own(project, config):
    folder = project()
    hpo.run(study_of(folder), replace(config, concurrency=1))
    [pid] = processes_of(folder)
    assert pid != os.getpid()


def test_changed_code_gets_new_processes(project, two):
    folder = project()
    with api.Workers() as workers:
        before = hpo.run(study_of(folder), two, workers=workers)
        first = processes_of(folder)
        text = (folder / "pooled.py").read_text().replace("VERSION = 1", "VERSION = 2  # of another size")
        (folder / "pooled.py").write_text(text)
        del sys.modules["pooled"]
        changed = study_of(folder).model_copy(update={"name": "changed"})
        after = hpo.run(changed, two, workers=workers)
        assert not processes_of(folder) <= first
        assert not any(map(is_alive, first))
    assert [one.value for one in by_x(before)] == pytest.approx([0.3, 1.3, 2.3, 3.3])
    assert [one.value for one in by_x(after)] == pytest.approx([0.3, 2.3, 4.3, 6.3])


def test_exit_of_a_training_fails_its_trial_only(project, two):
    outcome = hpo.run(study_of(project("exit")), two)
    assert [one.state for one in by_x(outcome)] == ["complete", "failed", "complete", "complete"]
    store = Store(two.storage, create=False)
    [failed] = [one for one in store.evaluations(store.find("pooled")) if one.status is Status.FAILED]
    store.close()
    assert failed.error == "3 workers died while they trained it; the last: its process ended with exit code 3"


def test_output_of_a_training_stays_off_stdout(project, two, capfd):
    outcome = hpo.run(study_of(project("print")), two)
    assert [one.state for one in by_x(outcome)] == ["complete"] * 4
    out, err = capfd.readouterr()
    assert out == ""
    assert re.search(r"^trial \d: printed where x is 1$", err, re.MULTILINE)


def test_children_of_a_training_end_with_its_process(project, two):
    folder = project("child")
    outcome = hpo.run(study_of(folder), two)
    assert [one.state for one in by_x(outcome)] == ["complete"] * 4
    await_end([int((folder / "notes" / "child").read_text())])
    await_end(processes_of(folder))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_its_driver(project, number):
    folder = project(nap=0.3)
    command = [*COMMAND, "run", "--study", "pooled", "--backend", "local", "--concurrency", "2"]
    driver = forked.Popen(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 400
    while len(processes_of(folder)) < 2:
        assert driver.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)
    started = psutil.Process(driver.pid).children(recursive=True)
    assert len(started) >= 2
    driver.send_signal(number)
    _, said = driver.communicate(timeout=400)
    assert "Traceback" not in said
    assert driver.returncode == (130 if number == signal.SIGINT else -number)
    await_end([one.pid for one in started])
    assert [one.state for one in hpo.run(study_of(folder), place(folder)).trials] == ["complete"] * 4


def place(folder):
    return hpo.RunConfig(storage=f"sqlite:///{folder / 'hpo.db'}", outputs=folder / "outputs", backend="local")


def test_ray_is_not_imported(project):
    folder = project()
    code = (
        "import sys, hpo\n"
        "if __name__ == '__main__':\n"
        "    config = hpo.RunConfig(backend='local', concurrency=2, storage='sqlite:///hpo.db')\n"
        "    hpo.run('pooled', config)\n"
        "    print(*sorted({'ray', 'plotly', 'matplotlib', 'fastapi', 'torch'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "ray" not in done.stdout.split()
