"""The lease of a study, and whether its driver's process is alive."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
import sqlalchemy as sa

from hpo.core.errors import StudyBusy
from hpo.store import Store
from hpo.store.process import end, host, is_dead, process_key
from hpo.store.tables import DriverRow


@pytest.fixture
def store(storage_url):
    made = Store(storage_url)
    yield made
    made.close()


@pytest.fixture
def ended():
    """The pid and key of a process of this machine that has ended."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        key = process_key(process.pid)
        process.communicate(b"\n")
    return process.pid, key


def test_a_reused_pid_is_detected(ended):
    pid, key = ended
    assert is_dead(host(), pid, key)
    assert not is_dead(host(), os.getpid(), process_key(os.getpid()))
    assert is_dead(host(), os.getpid(), key), "the pid is alive, but belongs to another process"


def test_remote_processes_may_be_alive(ended):
    pid, key = ended
    boot, namespace, began = key.split()
    assert not is_dead("another-host", pid, key)
    assert not is_dead(host(), pid, f"{boot} pid:[1] {began}"), "a container that shares the host's name"
    assert not is_dead(host(), pid, f"another-boot {namespace} {began}"), "a machine that was given the same name"
    assert not is_dead(host(), pid, None)


@pytest.mark.parametrize(("deaf", "status"), [(False, -signal.SIGTERM), (True, -signal.SIGKILL)])
def test_end_kills_if_sigterm_is_ignored(deaf, status):
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " if deaf else ""
    with subprocess.Popen([sys.executable, "-c", f"{code}print(1, flush=True); input()"], stdin=-1, stdout=-1) as one:
        one.stdout.readline()
        key = process_key(one.pid)
        end(one.pid, key, 0.5)
        assert process_key(one.pid) is None, "it is dead, though not reaped yet"
        assert is_dead(host(), one.pid, key)
        assert one.wait() == status


def test_end_spares_a_reused_pid(ended):
    _, key = ended
    end(os.getpid(), key, 0.1)


def held_by(store, study, **driver):
    """Leaves a lease behind, as another process would."""
    lease = store.lease(study, "run")
    lease._over.set()
    lease._thread.join()
    with store._engine.begin() as connection:
        connection.execute(sa.update(DriverRow).values(**driver))
    return lease


def test_a_dead_local_driver_frees_its_study(store, curve, ended):
    study = store.store_study(curve())
    pid, key = ended
    before = held_by(store, study, pid=pid, process=key)
    lease = store.lease(study, "run")
    assert lease.token == before.token + 1
    lease.release()


def test_a_remote_driver_keeps_its_study(store, curve, ended):
    study = store.store_study(curve())
    pid, key = ended
    held_by(store, study, host="gpu-3", pid=pid, process=key)
    with pytest.raises(StudyBusy, match=rf"driven by host gpu-3, pid {pid}.*if it is dead, the study is free in \d+ s"):
        store.lease(study, "run")


def test_renewal_notices_a_takeover(store, curve):
    study = store.store_study(curve())
    late = store.lease(study, "run")
    late._over.set()
    late._thread.join()
    late._over.clear()
    with store._engine.begin() as connection:
        connection.execute(sa.text("UPDATE hpo_leases SET token = token + 1"))
    late.check_not_known_lost()
    late._seconds = 0.2
    late._thread = type(late._thread)(target=late._keep_renewing, daemon=True)
    late._thread.start()
    late._thread.join(1.0)
    with pytest.raises(StudyBusy, match="has taken this study over"):
        late.check_not_known_lost()
    late.release()
