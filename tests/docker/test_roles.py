"""The entrypoint's roles without containers: a head, a worker, a driver and the pages, each in its own environment."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import yaml

ROOT = Path(__file__).parents[2]
ENTRYPOINT = ROOT / "docker" / "entrypoint.sh"
PASSWORD, TOKEN = "n0-worker-sees-this", "0123456789abcdef" * 4
TRIALS = 3
pytestmark = [pytest.mark.ray, pytest.mark.postgres, pytest.mark.slow]


class Container:
    """What stands for a container: a folder with its own commands, and none of the variables of whoever starts it."""

    def __init__(self, name, folder, **environment):
        self.folder = folder / name
        self.log = folder / f"{name}.log"
        (self.folder / "site").mkdir(parents=True)
        (self.folder / "bin").mkdir()
        (self.folder / "site" / "hpo").symlink_to(ROOT / "hpo")
        for module, start in (("hpo.cli", "hpo"), ("ray.scripts.scripts", "ray")):
            script = self.folder / "bin" / start
            script.write_text(f"#!{sys.executable}\nfrom {module} import main\nmain()\n")
            script.chmod(0o755)
        self.environment = {
            "PATH": os.pathsep.join([str(self.folder / "bin"), os.environ["PATH"]]),
            "HOME": str(self.folder),
            "PYTHONPATH": str(self.folder / "site"),
            "HPO_BIND": "127.0.0.1",
            **environment,
        }

    def start(self, *arguments, cwd=None):
        with self.log.open("w") as log:
            return subprocess.Popen(
                [ENTRYPOINT, *arguments], cwd=cwd or self.folder, env=self.environment, stdout=log, stderr=log
            )

    def run(self, *arguments, cwd):
        return subprocess.run(
            [ENTRYPOINT, *arguments],
            cwd=cwd,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=600,  # a busy machine is no fault
            check=False,
        )


def until(happened, process, log, seconds=60):
    end = time.monotonic() + seconds
    while not happened():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.1)


def free_port(first):
    for port in range(first, first + 1000):
        with socket.socket() as found:
            try:
                found.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


@dataclass
class Done:
    """A study that was searched and promoted by the roles together."""

    project: Path
    driver: Container
    said: subprocess.CompletedProcess
    ray: list  # (name, environment) of each process of the head and the worker while they ran
    healthy: subprocess.CompletedProcess  # compose.yaml's check of the head
    stopped: dict  # exit status of each role after SIGTERM
    secrets: Path


@pytest.fixture(scope="module")
def done(postgres_server, one_head):
    """Postgres, a head without CPUs and a worker with two, a driver; all gone again when the tests look at it."""
    folder = Path(tempfile.mkdtemp(prefix="hpo-"))  # a socket's path has to be short
    project = folder / "project"
    shutil.copytree(ROOT / "models", project / "models", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "studies", project / "studies")
    database = f"t{uuid.uuid4().hex[:12]}"
    postgres_server.psql(f'CREATE DATABASE "{database}"')
    secrets = folder / "secrets"
    secrets.mkdir()
    url = postgres_server.get_uri(database=database).replace("postgres:@", f"postgres:{PASSWORD}@")
    assert PASSWORD in url
    (secrets / "storage").write_text(url)
    (secrets / "ray_token").write_text(TOKEN)
    (secrets / "token").write_text(TOKEN)
    port = free_port(6400)
    ours = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(secrets / "ray_token")}
    storage = {"HPO_STORAGE_FILE": str(secrets / "storage")}
    head = Container("head", folder, **ours, **storage, HPO_RAY_PORT=str(port), PGPASSWORD=PASSWORD, RAY_ADDRESS="auto")
    address = f"127.0.0.1:{port}"
    worker = Container("worker", folder, **ours, RAY_ADDRESS=address, HPO_STORAGE=url)
    driver = Container("driver", folder, **ours, **storage, RAY_ADDRESS=address, HPO_OUTPUTS=str(folder / "outputs"))
    started = {}
    try:
        options = ["--include-dashboard=false", f"--temp-dir={folder / 'ray'}", "--num-cpus=0"]
        started["head"] = head.start("ray-head", *options)
        until(lambda: "will now block" in head.log.read_text(), started["head"], head.log)
        started["worker"] = worker.start("ray-worker", "--num-cpus=2")
        until(lambda: "will now block" in worker.log.read_text(), started["worker"], worker.log)
        check = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())["services"]["ray-head"]["healthcheck"]
        asked = [word.replace("127.0.0.1:6379", address) for word in check["test"][1:]]
        assert address in asked[-1]
        healthy = head.run(*asked, cwd=head.folder)
        command = ["hpo", "run", "--study", "digits", "--trials", str(TRIALS), "--promote", "--ray-address", address]
        said = driver.run(*command, cwd=project)
        environments = {
            name: [
                (one.name(), one.environ()) for one in [psutil.Process(p.pid), *psutil.Process(p.pid).children(True)]
            ]
            for name, p in started.items()
        }
        stopped = {}
        for name in ("worker", "head"):
            started[name].send_signal(signal.SIGTERM)
            stopped[name] = started[name].wait(timeout=400)
        yield Done(project, driver, said, environments, healthy, stopped, secrets)
    finally:
        for one in started.values():
            if one.poll() is None:
                family = psutil.Process(one.pid).children(recursive=True)
                for process in [*family, psutil.Process(one.pid)]:
                    process.kill()
                one.wait()
        shutil.rmtree(folder, ignore_errors=True)


def test_a_study_is_searched_and_promoted(done):
    assert done.said.returncode == 0, done.said.stderr
    assert done.healthy.returncode == 0, done.healthy.stderr
    assert f"{TRIALS} trials in" in done.said.stdout
    assert "Winner: trial" in done.said.stdout
    written = {path.name for path in (done.project.parent / "outputs" / "digits").glob("results_*")}
    assert written == {"results_7", "results_8", "results_9"}
    ranked = done.driver.run("hpo", "rank", "--study", "digits", "--json", cwd=done.project)
    assert ranked.returncode == 0, ranked.stderr
    rows = json.loads(ranked.stdout)["candidates"]
    assert sorted(row["trial"] for row in rows) == [0, 1, 2]


def test_no_process_of_ray_has_the_database(done):
    names = {name for processes in done.ray.values() for name, _ in processes}
    assert {"raylet", "gcs_server"} <= names
    for processes in done.ray.values():
        assert len(processes) > 2
        for _, environment in processes:
            assert not [value for value in environment.values() if PASSWORD in value]
            assert not {"HPO_STORAGE", "PGPASSWORD"} & set(environment)
    assert not [1 for _, environment in done.ray["worker"] if "HPO_STORAGE_FILE" in environment]


def test_a_role_ends_when_it_is_told_to(done):
    assert set(done.stopped) == {"head", "worker"}
    assert -signal.SIGKILL not in done.stopped.values()


def test_pages_require_the_token(done):
    port = free_port(18080)
    web = Container(
        "web",
        done.project.parent,
        HPO_STORAGE_FILE=str(done.secrets / "storage"),
        HPO_TOKEN_FILE=str(done.secrets / "token"),
        HPO_PORT=str(port),
        HPO_OUTPUTS=str(done.project.parent / "outputs"),
    )

    def asked(path, **headers):
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def answers():
        try:
            return asked("/healthz")[0] == 200
        except OSError:
            return False

    [check] = re.findall(
        r"HEALTHCHECK .*?CMD (\[.*?\])$", (ROOT / "docker" / "Dockerfile").read_text(), re.DOTALL | re.M
    )
    check = [sys.executable, *json.loads(check)[1:]]
    assert web.run(*check, cwd=web.folder).returncode != 0
    process = web.start("web")
    try:
        until(answers, process, web.log)
        assert web.run(*check, cwd=web.folder).returncode == 0
        assert asked("/hpo/v1/studies")[0] == 401
        status, text = asked("/hpo/v1/studies", Authorization=f"Bearer {TOKEN}")
        assert (status, "digits" in text) == (200, True)
        status, text = asked("/robustness/digits", Authorization=f"Bearer {TOKEN}")
        assert (status, "digits" in text) == (200, True)
    finally:
        process.send_signal(signal.SIGTERM)
        ended = process.wait(timeout=400)
    assert ended in (0, 143, -signal.SIGTERM)
