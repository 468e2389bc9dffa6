"""What is known of a machine before Ray is started on it: its cores, and a folder for Ray's sockets."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from hpo.backends import machine
from hpo.backends.machine import cores, folder_for_sockets, private_folder
from hpo.core.errors import UsageError


def grouped(tmp_path, line, limits):
    """Returns the arguments of a process in control groups with these limits."""
    member, mount = tmp_path / "cgroup", tmp_path / "mount"
    member.write_text(f"{line}\n")
    for name, text in limits.items():
        (mount / name).parent.mkdir(parents=True, exist_ok=True)
        (mount / name).write_text(f"{text}\n")
    return member, mount


@pytest.mark.parametrize(
    ("line", "limits", "share"),
    [
        ("0::/a/b", {"a/cpu.max": "200000 100000", "a/b/cpu.max": "max 100000"}, 2),
        ("0::/a/b", {"a/cpu.max": "400000 100000", "a/b/cpu.max": "150000 100000"}, 1),
        ("0::/", {"cpu.max": "50000 100000"}, 1),
        ("0::/", {"cpu.max": "max 100000"}, None),
        ("0::/a", {}, None),
        ("4:cpu,cpuacct:/a", {"cpu/a/cpu.cfs_quota_us": "300000", "cpu/a/cpu.cfs_period_us": "100000"}, 3),
        ("4:cpu,cpuacct:/a", {"cpu/a/cpu.cfs_quota_us": "-1", "cpu/a/cpu.cfs_period_us": "100000"}, None),
        ("5:memory:/a", {"a/cpu.max": "200000 100000"}, None),
        ("0::/", {"cpu.max": "nonsense"}, None),
    ],
)
def test_cgroup_quotas_limit_the_cores(tmp_path, line, limits, share):
    assert machine._share_of_group(*grouped(tmp_path, line, limits)) == share


def test_cores_respect_cpu_affinity():
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("no system that binds processes to cores")
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    code += "from hpo.backends.machine import cores; print(cores())"
    bound = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert bound.stdout.strip() == "1"
    assert 1 <= cores() <= os.cpu_count()


@pytest.fixture
def temporary(monkeypatch):
    """Returns a function that makes a folder the one for temporary files."""
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)

    def used(folder):
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        return folder

    return used


def test_long_paths_are_not_used_for_sockets(tmp_path, temporary):
    long = temporary(tmp_path / ("a-very-long-name-" * 5))
    long.mkdir()
    assert folder_for_sockets() == Path("/tmp")
    with pytest.raises(UsageError, match=r"at most (20|24) characters; set RAY_TMPDIR to a shorter"):
        folder_for_sockets(str(long))


def test_missing_folders_are_named(tmp_path):
    with pytest.raises(UsageError, match=r"/missing: expected a writable one"):
        folder_for_sockets("/missing")


def test_ray_folder_is_private_and_removed():
    with private_folder() as folder:
        assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
        (folder / "session").mkdir()
        with private_folder() as other:
            assert other != folder
        assert folder.is_dir(), "the folder of a running driver was removed"
    assert not folder.parent.exists()


def test_killed_drivers_folders_removed():
    code = "import os; from hpo.backends.machine import private_folder\n"
    code += "with private_folder() as folder: print(folder, flush=True); os.kill(os.getpid(), 9)"
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    left = Path(killed.stdout.strip())
    assert left.is_dir()
    with private_folder():
        assert not left.parent.exists()
