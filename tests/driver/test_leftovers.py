"""The next driver of a study removes what killed commands left, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import datetime, timedelta

import pytest

import hpo
from hpo.core.files import machine
from hpo.driver.leftovers import OWNER, clear_leftovers
from hpo.driver.resources import work_folder
from hpo.driver.storage import storage
from hpo.store import host, process_key


@pytest.fixture
def dead_process():
    """The pid and the key of a process of this machine that has ended."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        marked = process_key(process.pid)
        process.communicate(b"\n")
    return process.pid, marked


@pytest.fixture
def work(curve, config):
    """The work folder of a study that was searched."""
    from pathlib import Path

    hpo.run(curve(search={"trials": 3}), config)
    with storage(config.storage) as (store, _):
        return Path(work_folder(store.find("curve"), config))


def go_on(curve, config):
    hpo.run(curve(search={"trials": 3}), config)


def test_checkpoints_of_finished_jobs_go(curve, config, work):
    over, open_ = work / "search" / "trial-00000-seed-41-fold-0-budget-5", work / "search" / "trial-00099-seed-41"
    with storage(config.storage) as (store, _):
        [one, *_] = store.evaluations(store.find("curve"))
        over = work / one.job.folder
    for folder in (over, open_):
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("checkpoint.pt", "checkpoint-previous.pt", f".checkpoint.pt.77-{machine()}"):
            (folder / name).write_bytes(b"x")
    go_on(curve, config)
    assert not over.exists() or not list(over.glob("*checkpoint*"))
    assert len(list(open_.iterdir())) == 3, "a training that is not over goes on from there"


def test_checkpoint_of_retried_job_is_kept(curve, config, work):
    hpo.run(curve(name="curve2", search={"trials": 1, "max_failures": 9}, trainable="toys.curve:train_nan"), config)
    with storage(config.storage) as (store, _):
        stored = store.find("curve2")
        [one] = store.evaluations(stored)
        [(_, _, at)] = store.finished(stored)
        from pathlib import Path

        folder = Path(work_folder(stored, config)) / one.job.folder
    for seconds, left in ((-5, False), (5, True)):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "checkpoint.pt").write_bytes(b"x")
        moment = (at + timedelta(seconds=seconds)).timestamp()
        os.utime(folder / "checkpoint.pt", (moment, moment))
        with storage(config.storage) as (store, _):
            clear_leftovers(store, stored, work_folder(stored, config), config.outputs)
        assert (folder / "checkpoint.pt").exists() is left


def test_folders_of_dead_commands_go(curve, config, work, dead_process):
    owners = {
        "verify-dead": {"host": host(), "pid": dead_process[0], "process": dead_process[1]},
        "verify-live": {"host": host(), "pid": os.getpid(), "process": process_key(os.getpid())},
        "verify-else": {"host": "gpu-3", "pid": dead_process[0], "process": dead_process[1]},
    }
    for name, owner in owners.items():
        (work / name / "promotion").mkdir(parents=True)
        (work / name / OWNER).write_text(json.dumps(owner))
    for name, days in (("verify-new", 0), ("verify-old", 2)):  # of earlier versions, which named no owner
        (work / name).mkdir()
        at = (datetime.now() - timedelta(days=days)).timestamp()
        os.utime(work / name, (at, at))
    (work / "tune-1a2b3c4d" / "tune").mkdir(parents=True)
    (work / "halt-1a2b3c4d").touch()
    (work / "mine").mkdir()
    go_on(curve, config)
    left = {path.name for path in work.iterdir() if path.name.startswith(("verify", "tune", "halt", "mine"))}
    assert left == {"verify-live", "verify-else", "verify-new", "mine"}


def test_partly_written_files_go(curve, config, work, dead_process):
    folder = config.outputs / "curve"
    folder.mkdir(exist_ok=True)
    names = {
        f".promotion.json.{dead_process[0]}-{machine()}": False,
        f".promotion.json.{os.getpid()}-{machine()}": True,
        f".promotion.csv.{dead_process[0]}-0123abcd": True,
        f".report.html.{dead_process[0]}-0123abcd": False,  # of another machine, two days old
        ".gitignore": True,
        "promotion.json": True,
    }
    for name in names:
        (folder / name).touch()
    old = time.time() - 2 * 86400
    os.utime(folder / f".report.html.{dead_process[0]}-0123abcd", (old, old))
    (folder / f".results_7.{dead_process[0]}").mkdir()
    for probed in (config.outputs, folder):
        (probed / ".results_probe_ab12").mkdir()
    go_on(curve, config)
    assert {name: (folder / name).exists() for name in names} == names
    assert not list(config.outputs.rglob(".results_*"))


def test_write_probe_leaves_nothing(tmp_path):
    from hpo.results import require_writable

    require_writable(tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_places_of_killed_promotion_are_free(curve, config, dead_process):
    study = curve(search={"trials": 3}, promotion={"top": 1})
    hpo.run(study, config)
    folder = config.outputs / "curve"
    folder.mkdir(exist_ok=True)
    for number in (7, 8, 9):  # as it is between taking the places and filling them
        (folder / f"results_{number}").mkdir()
        (folder / f".results_{number}.{dead_process[0]}").mkdir()
    (folder / "results_12").mkdir()  # somebody's own
    written = hpo.promote(study, config).results
    assert [path.name for path in written] == ["results_7", "results_8", "results_9"]
    assert (folder / "results_12").is_dir()
