"""Studies whose database goes away while they run, and whose lease is taken over."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import threading
import time
from contextlib import suppress

import pytest
import sqlalchemy as sa

import hpo
from hpo.core.errors import StorageLost, StudyBusy, TooManyFailures
from hpo.core.records import Evaluation, Status
from hpo.core.run_config import RunConfig
from hpo.driver.session import RunContext, Session
from hpo.search.source import SearchSource
from hpo.store import RecordedSource
from hpo.store.tables import LeaseRow


class Recorder(hpo.Observer):
    """Records phases, and calls `then` after a number of reports."""

    def __init__(self, after=0, then=lambda: None):
        self.after, self.then, self.count = after, then, 0
        self.phases = []

    def phase(self, message):
        self.phases.append(message)

    def reported(self, job, step, value):
        self.count += 1
        if self.count == self.after:
            self.then()


def config_of(url, tmp_path, name, **fields):
    return RunConfig(storage=url, outputs=tmp_path / name, backend="local", **fields)


def table(study, config):
    with Session.open(study, RunContext.of(study, config), create=False) as found:
        return [(t.number, t.state, t.params, t.value, t.values) for t in found.durable.trials()]


@pytest.fixture
def undisturbed(curve, tmp_path):
    """The table of a study that nothing disturbs."""
    config = config_of(f"sqlite:///{tmp_path / 'undisturbed.db'}", tmp_path, "undisturbed")
    hpo.run(curve(), config)
    return table(curve(), config)


@pytest.mark.slow
@pytest.mark.postgres
def test_postgres_restart_is_survived(mortal_postgres, curve, tmp_path, undisturbed):
    def dies():
        mortal_postgres.kill()
        threading.Timer(2.0, mortal_postgres.start).start()

    recorder = Recorder(12, dies)
    config = config_of(mortal_postgres.url, tmp_path, "disturbed")
    outcome = hpo.run(curve(), config, observers=[recorder])
    assert table(curve(), config) == undisturbed
    assert outcome.count("running") == 0
    assert any(phrase.startswith("storage is away") for phrase in recorder.phases)
    assert any(phrase.startswith("storage is back") for phrase in recorder.phases)
    with Session.open(curve(), RunContext.of(curve(), config), create=False) as found:
        assert len(found.store.evaluations(found.stored)) == len(undisturbed)


@pytest.mark.slow
@pytest.mark.postgres
def test_postgres_away_for_good_can_resume(mortal_postgres, curve, tmp_path, undisturbed):
    config = config_of(mortal_postgres.url, tmp_path, "disturbed", storage_wait=1.0)
    killed = []

    def kill():
        killed.append(time.monotonic())
        mortal_postgres.kill()

    with pytest.raises(StorageLost) as caught:
        hpo.run(curve(), config, observers=[Recorder(12, kill)])
    away = re.search(r"has been away for (\d+) s", str(caught.value))
    # Not less than the wait that was asked for, and not more than has passed since the server was killed.
    assert 1 <= int(away[1]) <= round(time.monotonic() - killed[0])
    assert "run the same command again" in str(caught.value)
    mortal_postgres.start()
    hpo.run(curve(), config)
    assert table(curve(), config) == undisturbed


@pytest.mark.slow
def test_a_locked_sqlite_file_is_waited_for(curve, tmp_path, undisturbed, monkeypatch):
    monkeypatch.setattr("hpo.store.engine.BUSY_SECONDS", 0.5)  # so that the lock outlasts several retries
    path = tmp_path / "disturbed.db"

    def hold():
        other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        threading.Timer(3.0, lambda: (other.rollback(), other.close())).start()

    recorder = Recorder(12, hold)
    config = config_of(f"sqlite:///{path}", tmp_path, "disturbed")
    hpo.run(curve(), config, observers=[recorder])
    assert table(curve(), config) == undisturbed
    assert "storage is away (database is locked); retrying for 600 s, trainings continue" in recorder.phases


@pytest.fixture
def small_disk(tmp_path):
    """A disk of four megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no disk can be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def filled(folder):
    """Fills a disk."""
    with (folder / "filler").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


@pytest.mark.slow
def test_a_full_disk_is_waited_for(small_disk, curve, tmp_path, undisturbed):
    def fills():
        filled(small_disk)
        threading.Timer(3.0, (small_disk / "filler").unlink).start()

    recorder = Recorder(12, fills)
    config = config_of(f"sqlite:///{small_disk / 'hpo.db'}", tmp_path, "disturbed")
    hpo.run(curve(), config, observers=[recorder])
    assert table(curve(), config) == undisturbed
    assert any("storage is away (database or disk is full)" in phrase for phrase in recorder.phases)


@pytest.mark.slow
def test_a_disk_that_stays_full_can_resume(small_disk, curve, tmp_path, undisturbed):
    config = config_of(f"sqlite:///{small_disk / 'hpo.db'}", tmp_path, "disturbed", storage_wait=1.0)
    with pytest.raises(StorageLost, match="disk is full"):
        hpo.run(curve(), config, observers=[Recorder(12, lambda: filled(small_disk))])
    (small_disk / "filler").unlink()
    with sqlite3.connect(small_disk / "hpo.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    hpo.run(curve(), config)
    assert table(curve(), config) == undisturbed


def test_reading_needs_no_sqlite_lock(curve, tmp_path):
    config = config_of(f"sqlite:///{tmp_path / 'hpo.db'}", tmp_path, "out")
    hpo.run(curve(), config, trials=2)
    with Session.open(curve(), RunContext.of(curve(), config), create=False) as found:
        other = sqlite3.connect(tmp_path / "hpo.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        assert found.store.names() == ["curve"]
        assert len(found.store.evaluations(found.stored)) == 2
        assert time.monotonic() - began < 5
        other.rollback()
        other.close()


def take_over(found):
    """Lets another driver take the study over, as after a lease that was not renewed in time."""
    with found.store._engine.begin() as connection:
        connection.execute(sa.update(LeaseRow).values(token=LeaseRow.token + 1))


def test_after_a_takeover_nothing_is_written(curve, tmp_path, storage_url):
    study, config = curve(), config_of(storage_url, tmp_path, "out")
    with Session.open(study, RunContext.of(study, config), create=True) as found, found.drive("run") as lease:
        source = SearchSource(study, found.durable)
        recorded = RecordedSource(source, found.store, found.stored, lease)
        job, other = recorded.ask(), recorded.ask()
        assert recorded.report(job, 1, 0.25)
        take_over(found)
        for attempt in (
            lambda: recorded.report(job, 2, 0.5),
            lambda: source.report(other, 1, 0.5),
            lambda: source.tell(Evaluation(job=job, status=Status.FAILED, error="late")),
            lambda: recorded.tell(Evaluation(job=job, status=Status.FAILED, error="late")),
            recorded.ask,
        ):
            with pytest.raises(StudyBusy, match="has taken this study over"):
                attempt()
    with Session.open(study, RunContext.of(study, config), create=False) as found:
        trials = found.durable.trials()
    assert [(trial.state, trial.values) for trial in trials] == [("running", {1: 0.25}), ("running", {})]


def test_all_trials_failing_end_the_search(curve, tmp_path):
    config = config_of(f"sqlite:///{tmp_path / 'hpo.db'}", tmp_path, "out")
    study = curve(fixed={"fault": "raise"}, search={"max_failures": 3})
    with pytest.raises(TooManyFailures, match="3 trainings in a row failed") as caught:
        hpo.run(study, config)
    assert "of trial 0" in str(caught.value)
    assert "ValueError: the user's own mistake" in str(caught.value)
    assert [row[1] for row in table(study, config)] == ["failed"] * 3
