"""`hpo doctor`: what is there and what is missing, each line both ways where a machine allows it."""

from __future__ import annotations

import http.server
import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
import zipfile
from contextlib import contextmanager
from pathlib import Path

import forked
import pytest
import torch
from packaging.requirements import Requirement

from hpo import RunConfig
from hpo.api import doctor
from hpo.core.disks import Disk, disk_of
from hpo.core.errors import StorageUnavailable
from hpo.core.installed import declared_requirements, install_line, installed_packages, python_fits
from hpo.driver import doctor as examining
from hpo.store import Store
from hpo.store.optuna_storage.tables import OPTUNA
from hpo.store.schema import HEAD

PROJECT = Path(__file__).parents[1] / "project"
ROOT = Path(__file__).parents[2]
SECRET = "s3cret"


@pytest.fixture
def looked(tmp_path, monkeypatch):
    """Looks at a place in an empty folder; returns what was found by its name."""
    monkeypatch.chdir(tmp_path)
    for name in ("HPO_STUDIES", "HPO_STORAGE", "SLURM_JOB_END_TIME"):
        monkeypatch.delenv(name, raising=False)

    def look(study=None, folders=None, **config):
        return {one.what: one for one in doctor(study, RunConfig(**{"backend": "local", **config}), folders=folders)}

    return look


def command(folder, *arguments, path=(), before=None, **environment):
    """Runs the command line as a user does."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("HPO_", "SLURM_"))}
    clean["PYTHONPATH"] = os.pathsep.join([*map(str, path), str(ROOT)])
    how, options = (subprocess, {"preexec_fn": before}) if before or path else (forked, {})
    return how.run(
        [sys.executable, "-c", "from hpo.cli import main; main()", "doctor", *arguments],
        cwd=folder,
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
        **options,
    )


# The command.


@pytest.mark.slow
def test_healthy_machine_writes_nothing(tmp_path):
    done = command(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    *lines, last = done.stdout.splitlines()
    assert last == "Nothing essential is missing. Continue with: hpo run --study NAME"
    named = {line[11:].split("  ")[0] for line in lines if line[0] != " "}
    wanted = {"python", "packages", "cores", "graphics card", "ray", "storage", "outputs", "workdir", "limits"}
    assert wanted | {"extra cmaes", "extra dicom", "extra postgres"} <= named
    assert not named & {"extra dev", "extra bench"}
    assert list(tmp_path.iterdir()) == []


def test_missing_essentials_exit_1(tmp_path):
    (tmp_path / "taken").touch()
    done = command(tmp_path, "--outputs", "taken", "--study", "mine", "--backend", "local")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "Missing and essential: study, outputs, workdir."
    assert "no study named 'mine' in studies." in done.stdout
    found = json.loads(command(tmp_path, "--outputs", "taken", "--backend", "local", "--json").stdout)
    assert found["sound"] is False
    assert [one["what"] for one in found["findings"] if one["state"] == "missing" and one["essential"]] == [
        "outputs",
        "workdir",
    ]


def test_printing_trainable_keeps_json_valid(tmp_path):
    shutil.copytree(ROOT / "hpo" / "driver" / "starter", tmp_path / "own")
    trainable = tmp_path / "own" / "tumours.py"
    trainable.write_text(trainable.read_text() + "\nprint('hello')\n")
    done = command(tmp_path / "own", "--study", "tumours", "--json", "--backend", "local")
    found = {one["what"]: one for one in json.loads(done.stdout)["findings"]}
    assert found["study"]["state"] == "ok"


# Packages.


def installed_as(folder, *wanted, python=">=3.11", extras=()):
    """Makes a folder in which this package looks installed, with other needs."""
    info = folder / "hpo_robust-0.1.0.dist-info"
    info.mkdir()
    lines = ["Metadata-Version: 2.4", "Name: hpo-robust", "Version: 0.1.0", f"Requires-Python: {python}"]
    lines += [f"Provides-Extra: {extra}" for extra in extras] + [f"Requires-Dist: {one}" for one in wanted]
    (info / "METADATA").write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.slow
def test_missing_packages_are_named(tmp_path):
    (tmp_path / "site").mkdir()
    wanted = ("no-such-package>=1", "numpy<1", "torch>=2", "absent ; python_version < '3'", "other>=2 ; extra == 'odd'")
    site = installed_as(tmp_path / "site", *wanted, python=">=99", extras=["odd"])
    done = command(tmp_path, "--json", "--backend", "local", path=[site])
    found = {one["what"]: one for one in json.loads(done.stdout)["findings"]}
    assert done.returncode == 1
    assert found["python"]["state"] == found["packages"]["state"] == found["extra odd"]["state"] == "missing"
    assert found["packages"]["found"].startswith("no-such-package (not installed, wanted >=1), numpy ")
    assert found["packages"]["found"].endswith(" (wanted <1)")
    assert found["packages"]["advice"] == "pip install 'no-such-package>=1' 'numpy<1'"
    assert found["extra odd"]["advice"] == "if you need it: pip install 'hpo-robust[odd]'"


@pytest.mark.slow
def test_missing_extra_is_not_essential(tmp_path):
    (tmp_path / "site").mkdir()
    site = installed_as(tmp_path / "site", "numpy>=2", "no-such>=2 ; extra == 'odd'", extras=["odd"])
    done = command(tmp_path, "--backend", "local", path=[site])
    assert done.returncode == 0, done.stdout
    assert "missing    extra odd " in done.stdout


@pytest.mark.slow
def test_wrong_version_is_attention(tmp_path):
    (tmp_path / "site").mkdir()
    done = command(tmp_path, "--backend", "local", path=[installed_as(tmp_path / "site", "numpy<1")])
    assert done.returncode == 0
    assert "attention  packages " in done.stdout


def test_broken_package_is_one_sentence(tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "sqlalchemy.py").write_text("raise ImportError('half of it is not there')")
    done = command(tmp_path, path=[tmp_path / "broken"])
    assert done.returncode == 1
    assert done.stderr.startswith("error: hpo cannot be started: half of it is not there.")
    assert "Traceback" not in done.stderr


def test_local_version_fits_its_range():
    [found] = installed_packages([Requirement("torch>=2,<99")])
    assert found.fits
    assert python_fits(">=3.11", "3.15.0rc1")
    assert not python_fits(">=3.11", "3.10.9")


def test_install_line_names_the_origin(tmp_path):
    site = installed_as(tmp_path)
    run = [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {[str(site), *sys.path, str(ROOT)]!r}\n{LINE}"]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout == "pip install 'hpo-robust[web]'\n"
    origin = {"url": "file:///a%20b", "dir_info": {"editable": True}}
    (site / "hpo_robust-0.1.0.dist-info" / "direct_url.json").write_text(json.dumps(origin))
    found = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert found == "pip install --editable '/a b[web]'\n"


LINE = "from hpo.core.installed import install_line\nprint(install_line('web'))"


def test_wheel_metadata_matches_project(tmp_path):
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "hpo" / "core").mkdir(parents=True)
    for name in ("__init__.py", "core/__init__.py", "core/installed.py"):
        shutil.copy(ROOT / "hpo" / name, tmp_path / "hpo" / name)
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "out"], cwd=tmp_path, check=True)
    [wheel] = (tmp_path / "out").iterdir()
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(tmp_path / "site")
    code = (
        "from hpo.core.installed import declared_requirements\n"
        "found = declared_requirements()\n"
        "print(found.installed, found.python, sorted(str(one).lower() for one in found.packages))\n"
        "print({name: sorted(one.name for one in found.extras[name]) for name in sorted(found.extras)})\n"
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {[str(first), site]!r}\n{code}"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split(" ", 1)
        for site in [str(Path(sys.modules["packaging"].__file__).parents[1])]
        for first in (tmp_path, tmp_path / "site")
    ]
    if declared_requirements().installed is False:  # else the copy of the project is taken for what is installed
        assert outputs[0][0] == "False"
    assert outputs[1][0] == "True"
    assert outputs[0][1] == outputs[1][1]
    assert "'dicom': ['pydicom'" in outputs[0][1]


# The study and the machine.


def test_study_is_checked(looked, tmp_path, monkeypatch):
    folders = [PROJECT / "studies"]
    assert looked("curve", folders)["study"].state == "ok"
    (tmp_path / "studies").mkdir()
    text = (PROJECT / "studies" / "curve.toml").read_text()
    (tmp_path / "studies" / "bad.toml").write_text(text.replace("budget = 5", "budget = 0").replace('"curve"', '"bad"'))
    found = looked("bad")["study"]
    assert (found.state, found.advice) == ("missing", "hpo check --study bad")
    assert found.found.startswith("1 problem in ") or " problems in " in found.found
    text = text.replace("[search]", '[search]\nsampler = "cmaes"').replace('"curve"', '"evolved"')
    (tmp_path / "studies" / "evolved.toml").write_text(text)
    monkeypatch.setitem(sys.modules, "cmaes", None)  # as where it is not installed
    assert looked("evolved")["study"].found.endswith(f"install it with: {install_line('cmaes')}")
    assert "no study named 'nothing'" in looked("nothing")["study"].found


def test_too_many_cores_are_missing(looked):
    assert looked(cpus_per_trial=4096, backend="ray")["cores"].is_fatal
    assert looked(cpus_per_trial=1, backend="ray")["cores"].state == "ok"
    assert looked(cpus_per_trial=4096)["cores"].state == "ok", "threads of this process; slow, and possible"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a graphics card")
def test_gpu_is_missing_only_if_wanted(looked, monkeypatch, tmp_path):
    assert looked()["graphics card"].state == "ok"
    assert looked(gpus_per_trial=0.5)["graphics card"].is_fatal
    monkeypatch.setattr(examining, "GPU_DRIVER_FILES", (tmp_path,))
    found = looked()["graphics card"]
    assert (found.state, found.advice) == ("attention", "install a torch that was built for this GPU")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no graphics card")
def test_gpu_is_named(looked):
    found = looked(gpus_per_trial=1)["graphics card"]
    assert found.state == "ok"
    assert torch.cuda.get_device_name() in found.found


# Ray.


def test_unreachable_ray_is_missing(looked):
    assert looked(backend="ray", ray_address="127.0.0.1:1")["ray"].is_fatal
    assert "no Ray at 127.0.0.1:1" in looked(backend="ray", ray_address="127.0.0.1:1")["ray"].found
    assert looked(backend="ray")["ray"].state == "ok"
    assert looked(ray_address="127.0.0.1:1")["ray"].found == "not used: --backend local"


def test_other_server_is_not_ray(looked):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        address = f"127.0.0.1:{server.server_address[1]}"
        assert "is not a Ray" in looked(backend="ray", ray_address=address)["ray"].found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.ray
def test_running_ray_reports_slots(looked, ray_slots):
    import ray

    address = ray.get_runtime_context().gcs_address
    found = looked(backend="ray", ray_address=address)["ray"]
    assert (found.state, found.found) == ("ok", f"answers at {address}: 1 machine, {ray_slots} trainings at a time")
    assert "ask for less" in looked(backend="ray", ray_address=address, cpus_per_trial=4096)["ray"].found


# The storage.


@contextmanager
def changed(path, *statements):
    """Changes a SQLite file, and holds it open meanwhile."""
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    try:
        yield
    finally:
        connection.close()


def test_storage_missing_empty_current(looked, tmp_path):
    found = looked()["storage"]
    assert (found.state, found.found) == ("ok", "sqlite:///hpo.db is not there yet; the first hpo run makes it")
    (tmp_path / "hpo.db").touch()
    assert looked()["storage"].found.endswith("empty; the first hpo run creates its tables")
    assert (tmp_path / "hpo.db").read_bytes() == b""
    Store("sqlite:///hpo.db", library=OPTUNA).close()
    found = looked()["storage"]
    assert found.state == "ok"
    assert found.found.startswith("sqlite:///hpo.db, SQLite 3.")
    assert found.found.endswith(f", migration {HEAD}")


@pytest.mark.parametrize(
    ("version", "state", "message"), [("0003", "attention", "an older version"), ("9999", "missing", "a newer version")]
)
def test_other_migration_is_not_changed(looked, tmp_path, version, state, message):
    Store("sqlite:///hpo.db").close()
    with changed(tmp_path / "hpo.db", f"UPDATE hpo_alembic_version SET version_num = '{version}'"):
        pass
    found = looked()["storage"]
    assert (found.state, found.found.split(", ", 2)[2]) == (state, f"created by {message} of hpo, migration {version}")
    connection = sqlite3.connect("hpo.db")
    assert connection.execute("SELECT version_num FROM hpo_alembic_version").fetchone() == (version,)
    connection.close()


def test_newer_migration_cannot_be_opened(looked, tmp_path):
    Store("sqlite:///hpo.db").close()
    with changed(tmp_path / "hpo.db", "UPDATE hpo_alembic_version SET version_num = '9999'"):
        pass
    with pytest.raises(StorageUnavailable, match="created by a newer hpo: its tables are at migration 9999"):
        Store("sqlite:///hpo.db")


def test_foreign_database_is_attention(looked, tmp_path):
    with changed(tmp_path / "theirs.db", "CREATE TABLE theirs (id INTEGER)"):
        pass
    before = (tmp_path / "theirs.db").read_bytes()
    found = looked(storage="sqlite:///theirs.db")["storage"]
    assert found.state == "attention"
    assert found.found.endswith("has tables of another program but not hpo's")
    assert (tmp_path / "theirs.db").read_bytes() == before


def test_locked_storage_is_attention(looked, tmp_path):
    Store("sqlite:///hpo.db").close()
    with changed(tmp_path / "hpo.db", "BEGIN IMMEDIATE"):
        found = looked()["storage"]
    assert (found.state, "database is locked" in found.found) == ("attention", True)
    assert "locked" not in looked()["storage"].found


def test_missing_tables_are_named(looked):
    Store("sqlite:///hpo.db").close()
    found = looked()["storage"]
    assert found.state == "attention"
    assert "lacks studies, " in found.found
    assert "ix_studies_study_name" in found.found


@pytest.mark.parametrize("harm", ["pages", "cut off", "beginning"])
def test_damaged_storage_is_found(looked, tmp_path, harm):
    Store("sqlite:///hpo.db", library=OPTUNA).close()
    whole = (tmp_path / "hpo.db").read_bytes()
    noise = bytes(range(256)) * 16
    harmed = {
        "pages": whole[:8192] + noise + whole[12288:],
        "cut off": whole[:-8192],
        "beginning": noise + whole[4096:],
    }
    (tmp_path / "hpo.db").write_bytes(harmed[harm])
    found = looked()["storage"]
    assert found.is_fatal
    assert ("is damaged: " in found.found) == (harm != "beginning")
    assert (tmp_path / "hpo.db").read_bytes() == harmed[harm]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite:///notes.txt", "file is not a database. It is another kind of file"),
        ("sqlite:///nowhere/x.db", "no such folder"),
        ("sqlite:///folder", "it is not a regular file"),
        ("sqlite://", "a SQLite storage needs a file"),
        (f"mysql://me:{SECRET}@host/x", "is neither SQLite nor Postgres"),
        (f"postgresql://me:{SECRET}@127.0.0.1:1/x", "Connection refused"),
        (f"me:{SECRET}@host", "the storage is not a URL"),
    ],
)
def test_unusable_storage_hides_password(looked, tmp_path, url, message):
    (tmp_path / "notes.txt").write_text("these are notes, and many of them" * 100)
    (tmp_path / "folder").mkdir()
    found = looked(storage=url)["storage"]
    assert found.is_fatal
    assert message in found.found
    assert SECRET not in found.found
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "notes.txt"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_storage_is_missing(looked, tmp_path):
    Store("sqlite:///hpo.db").close()
    (tmp_path / "hpo.db").chmod(0o444)
    assert looked()["storage"].is_fatal


@pytest.mark.postgres
def test_postgres_version_and_write_access(looked, postgres_url):
    found = looked(storage=postgres_url)["storage"]
    assert found.state == "ok"
    assert ", Postgres 1" in found.found
    assert found.found.endswith("empty; the first hpo run creates its tables")
    Store(postgres_url, library=OPTUNA).close()
    assert looked(storage=postgres_url)["storage"].found.endswith(f", migration {HEAD}")
    separator = "&" if "?" in postgres_url else "?"
    standby = f"{postgres_url}{separator}options=-c%20default_transaction_read_only%3Don"
    assert "the server refuses writes" in looked(storage=standby)["storage"].found


# Disks and limits.


def test_folder_checks_leave_nothing(looked, tmp_path):
    found = looked(outputs=tmp_path / "new" / "outputs")
    assert found["outputs"].state == found["workdir"].state == "ok"
    assert "GB free (" in found["outputs"].found
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "taken").touch()
    assert looked(work=tmp_path / "taken" / "work")["workdir"].is_fatal


def test_nearly_full_disk_is_attention(looked, monkeypatch):
    monkeypatch.setattr(examining, "LOW_DISK_SPACE", 10**18)
    found = looked()["outputs"]
    assert (found.state, found.advice) == ("attention", "free some space; below 20 MB nothing is started")


def test_work_folder_may_be_a_url(looked, tmp_path):
    assert looked(work=f"file://{tmp_path}/work")["workdir"].state == "ok"
    assert looked(work="nothing://work")["workdir"].is_fatal


def test_local_work_folder_on_two_machines(tmp_path):
    found = examining.check_work_folder(str(tmp_path), 2)
    assert examining.check_work_folder(str(tmp_path), 1).state == "ok"
    if disk_of(tmp_path).is_shared:
        assert found.state == "ok"
    else:
        assert (found.state, "Ray has 2 machines" in found.found) == ("attention", True)


@pytest.mark.skipif(not Path("/proc/mounts").exists(), reason="the kernel lists no file systems")
def test_disk_matches_df():
    assert disk_of(Path("/proc/self")).kind == "proc"
    assert disk_of(Path("/proc/self")).mount == Path("/proc")
    named = subprocess.run(["df", "--output=target", "/usr"], capture_output=True, text=True, check=True).stdout
    assert str(disk_of(Path("/usr/no/such/folder")).mount) == named.split()[-1]


@pytest.mark.parametrize(
    ("kind", "shared"),
    [("nfs4", True), ("fuse.sshfs", True), ("cifs", True), ("smb3", True), ("ext4", False), ("tmpfs", False)],
)
def test_shared_file_systems_are_known(kind, shared):
    assert Disk(kind=kind, mount=Path("/"), free=0).is_shared is shared


@pytest.mark.slow
def test_system_limits_are_reported(tmp_path):
    def limit():
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        resource.setrlimit(resource.RLIMIT_CPU, (1000, 1000))

    end = str(int(time.time() + 30 * 60 + 20))
    done = command(tmp_path, "--json", "--backend", "local", before=limit, SLURM_JOB_END_TIME=end)
    [found] = [one for one in json.loads(done.stdout)["findings"] if one["what"] == "limits"]
    assert found["state"] == "attention"
    assert "killed after 1000 s of CPU time; a process may open 256 files" in found["found"]
    assert "Slurm ends this job in 30 min" in found["found"]


def test_long_slurm_job_is_ok(looked, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time() + 86400)))
    found = looked()["limits"]
    assert "Slurm ends this job in 14" in found.found
    assert "--time" in found.advice
