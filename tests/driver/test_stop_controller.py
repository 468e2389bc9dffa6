"""Requests to pause or stop: which driver sees them, and for how long they hold."""

from __future__ import annotations

import threading
import time

import pytest
import sqlalchemy as sa

from hpo.core.errors import StudyHeld, StudyPaused
from hpo.core.protocols import Observer
from hpo.driver.stop_controller import StopController
from hpo.store import Store, end_driver
from hpo.store.process import host


@pytest.fixture
def store(storage_url):
    made = Store(storage_url)
    yield made
    made.close()


def until(question, seconds=10.0):
    end = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


class Messages(Observer, list):
    def phase(self, message):
        self.append(message)


def test_driver_sees_pause_and_resume(store, curve):
    study = store.store_study(curve())
    lease = store.lease(study, "run")
    messages = Messages()
    controller = StopController(None, "curve", [messages])
    controller.lease = lease
    try:
        lease.check_pause()
        assert store.pause(study)
        assert not store.pause(study), "it is already paused"
        until(lambda: lease.paused)
        with pytest.raises(StudyHeld) as held:
            lease.check_pause()
        assert 0 < held.value.seconds < 5
        assert not controller.is_set()
        assert not controller.is_set()
        assert store.resume(study)
        assert not store.resume(study)
        until(lambda: not lease.paused)
        lease.check_pause()
        assert not controller.is_set()
        assert [one.partition(":")[0] for one in messages] == ["paused", "resumed"]
    finally:
        lease.release()


def test_paused_study_cannot_be_driven(store, curve):
    study = store.store_study(curve())
    store.pause(study)
    assert store.find("curve").paused_at is not None
    with pytest.raises(StudyPaused, match="hpo resume --study curve"):
        store.lease(study, "run")
    assert store.holder(study) is None, "nothing was written"
    store.resume(study)
    assert store.find("curve").paused_at is None
    store.lease(study, "run").release()


def test_stop_applies_to_current_driver_only(store, curve):
    study = store.store_study(curve())
    assert not store.request_stop(study), "nobody has ever driven it"
    lease = store.lease(study, "run")
    messages = Messages()
    controller = StopController(threading.Event(), "curve", [messages])
    controller.lease = lease
    assert not controller.is_set()
    assert store.request_stop(study)
    assert not store.request_stop(study), "the request was made already"
    assert store.holder(study).stopping
    until(lambda: lease.stopping)
    assert controller.is_set()
    assert controller.is_set()
    lease.release()
    assert controller.is_set(), "the reason for the end is known afterwards too"
    assert len(messages) == 1
    again = store.lease(study, "run")
    time.sleep(1.2)
    assert not again.stopping
    assert not store.holder(study).stopping
    again.release()


def test_replaced_driver_sees_no_requests(store, curve):
    study = store.store_study(curve())
    late = store.lease(study, "run")
    with store._engine.begin() as connection:
        connection.execute(sa.text("UPDATE hpo_leases SET token = token + 1"))
    store.pause(study)
    time.sleep(1.2)
    assert not late.paused
    late.release()


def test_remote_driver_cannot_be_killed(store, curve):
    study = store.store_study(curve())
    lease = store.lease(study, "run")
    with store._engine.begin() as connection:
        connection.execute(sa.text(f"UPDATE hpo_drivers SET host = 'not-{host()}'"))
    assert end_driver(store.holder(study), 0.1) is False
    lease.release()


def test_driver_knows_its_job(store, curve, monkeypatch):
    study = store.store_study(curve())
    monkeypatch.setenv("HPO_JOB", "hpo-curve-1")
    lease = store.lease(study, "run")
    assert store.holder(study).job == "hpo-curve-1"
    assert "job hpo-curve-1" in str(store.holder(study))
    lease.release()
