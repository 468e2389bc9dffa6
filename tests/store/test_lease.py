"""Who holds a study, and whether that process is alive."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
import sqlalchemy as sa

from hpo.core.errors import StudyBusy
from hpo.store import Store
from hpo.store.process import end, host, is_dead, mark
from hpo.store.tables import DriverRow


@pytest.fixture
def store(storage_url):
    made = Store(storage_url)
    yield made
    made.close()


@pytest.fixture
def ended():
    """A process of this machine that is over: its pid and its mark."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        marked = mark(process.pid)
        process.communicate(b"\n")
    return process.pid, marked


def test_a_process_is_told_from_a_later_one_of_the_same_pid(ended):
    pid, marked = ended
    assert is_dead(host(), pid, marked)
    assert not is_dead(host(), os.getpid(), mark(os.getpid()))
    assert is_dead(host(), os.getpid(), marked), "the pid is alive, but it is not that process"


def test_of_a_process_elsewhere_nobody_can_be_sure(ended):
    pid, marked = ended
    boot, namespace, began = marked.split()
    assert not is_dead("another-host", pid, marked)
    assert not is_dead(host(), pid, f"{boot} pid:[1] {began}"), "a container that shares the host's name"
    assert not is_dead(host(), pid, f"another-boot {namespace} {began}"), "a machine that was given the same name"
    assert not is_dead(host(), pid, None)


@pytest.mark.parametrize(("deaf", "status"), [(False, -signal.SIGTERM), (True, -signal.SIGKILL)])
def test_a_process_that_does_not_end_when_it_is_asked_to_is_killed(deaf, status):
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " if deaf else ""
    with subprocess.Popen([sys.executable, "-c", f"{code}print(1, flush=True); input()"], stdin=-1, stdout=-1) as one:
        one.stdout.readline()
        marked = mark(one.pid)
        end(one.pid, marked, 0.5)
        assert mark(one.pid) is None, "it is dead, though nobody has asked how it ended"
        assert is_dead(host(), one.pid, marked)
        assert one.wait() == status


def test_a_later_process_of_the_same_pid_is_left_alone(ended):
    _, marked = ended
    end(os.getpid(), marked, 0.1)


def held_by(store, study, **driver):
    """Leaves a lease behind as another process would."""
    lease = store.lease(study, "run")
    lease._over.set()
    lease._thread.join()
    with store._engine.begin() as connection:
        connection.execute(sa.update(DriverRow).values(**driver))
    return lease


def test_the_study_of_a_driver_that_died_here_is_free_at_once(store, curve, ended):
    study = store.enrol(curve())
    pid, marked = ended
    before = held_by(store, study, pid=pid, process=marked)
    lease = store.lease(study, "run")
    assert lease.token == before.token + 1
    lease.release()


def test_the_study_of_a_driver_elsewhere_is_busy_until_its_lease_ends(store, curve, ended):
    study = store.enrol(curve())
    pid, marked = ended
    held_by(store, study, host="gpu-3", pid=pid, process=marked)
    with pytest.raises(StudyBusy, match=rf"driven by host gpu-3, pid {pid}.*if it is dead, the study is free in \d+ s"):
        store.lease(study, "run")


def test_a_driver_that_was_taken_over_knows_it_after_its_next_renewal(store, curve):
    study = store.enrol(curve())
    late = store.lease(study, "run")
    late._over.set()
    late._thread.join()
    late._over.clear()
    with store._engine.begin() as connection:
        connection.execute(sa.text("UPDATE hpo_leases SET token = token + 1"))
    late.refuse_if_known_lost()
    late._seconds = 0.2
    late._thread = type(late._thread)(target=late._keep_renewing, daemon=True)
    late._thread.start()
    late._thread.join(1.0)
    with pytest.raises(StudyBusy, match="has taken this study over"):
        late.refuse_if_known_lost()
    late.release()
