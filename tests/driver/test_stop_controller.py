"""What is wished of a study and of its driver: who hears it, and for how long it holds."""

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
        assert time.monotonic() < end, "it was never so"
        time.sleep(0.02)


class Said(Observer, list):
    def phase(self, message):
        self.append(message)


def test_a_driver_hears_of_a_pause_and_of_its_end(store, curve):
    study = store.store_study(curve())
    lease = store.lease(study, "run")
    said = Said()
    heeding = StopController(None, "curve", [said])
    heeding.lease = lease
    try:
        lease.check_pause()
        assert store.pause(study)
        assert not store.pause(study), "it is paused already"
        until(lambda: lease.paused)
        with pytest.raises(StudyHeld) as held:
            lease.check_pause()
        assert 0 < held.value.seconds < 5
        assert not heeding.is_set()
        assert not heeding.is_set()
        assert store.resume(study)
        assert not store.resume(study)
        until(lambda: not lease.paused)
        lease.check_pause()
        assert not heeding.is_set()
        assert [one.partition(":")[0] for one in said] == ["paused", "resumed"]
    finally:
        lease.release()


def test_a_paused_study_is_not_driven_until_it_is_resumed(store, curve):
    study = store.store_study(curve())
    store.pause(study)
    assert store.find("curve").paused_at is not None
    with pytest.raises(StudyPaused, match="hpo resume --study curve"):
        store.lease(study, "run")
    assert store.holder(study) is None, "nothing was written"
    store.resume(study)
    assert store.find("curve").paused_at is None
    store.lease(study, "run").release()


def test_a_stop_is_for_the_driver_of_now_and_not_for_the_next_one(store, curve):
    study = store.store_study(curve())
    assert not store.request_stop(study), "nobody has ever driven it"
    lease = store.lease(study, "run")
    said = Said()
    heeding = StopController(threading.Event(), "curve", [said])
    heeding.lease = lease
    assert not heeding.is_set()
    assert store.request_stop(study)
    assert not store.request_stop(study), "it has been asked already"
    assert store.holder(study).stopping
    until(lambda: lease.stopping)
    assert heeding.is_set()
    assert heeding.is_set()
    lease.release()
    assert heeding.is_set(), "what ended the work is known afterwards too"
    assert len(said) == 1
    again = store.lease(study, "run")
    time.sleep(1.2)
    assert not again.stopping
    assert not store.holder(study).stopping
    again.release()


def test_of_a_study_that_was_taken_over_the_old_driver_hears_nothing(store, curve):
    study = store.store_study(curve())
    late = store.lease(study, "run")
    with store._engine.begin() as connection:
        connection.execute(sa.text("UPDATE hpo_leases SET token = token + 1"))
    store.pause(study)
    time.sleep(1.2)
    assert not late.paused
    late.release()


def test_a_driver_elsewhere_is_out_of_reach(store, curve):
    study = store.store_study(curve())
    lease = store.lease(study, "run")
    with store._engine.begin() as connection:
        connection.execute(sa.text(f"UPDATE hpo_drivers SET host = 'not-{host()}'"))
    assert end_driver(store.holder(study), 0.1) is False
    lease.release()


def test_a_driver_says_which_job_it_is(store, curve, monkeypatch):
    study = store.store_study(curve())
    monkeypatch.setenv("HPO_JOB", "hpo-curve-1")
    lease = store.lease(study, "run")
    assert store.holder(study).job == "hpo-curve-1"
    assert "job hpo-curve-1" in str(store.holder(study))
    lease.release()
