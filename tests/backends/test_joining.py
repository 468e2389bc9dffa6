"""Starting Ray and joining one: what its processes are not told, and what is refused before anything is written."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from hpo.cli import main; main()"]
SECRET = "s3cret"

NOSY = """
import json, os, time
from dataclasses import dataclass
from pathlib import Path
from ray._private.state import state

HERE = Path(__file__).parent

@dataclass
class Params:
    x: float

def train(params: Params, ctx):
    facts = {"environment": dict(os.environ), "jobs": repr(state.job_table())}
    spare = HERE / f"{os.getpid()}.tmp"
    spare.write_text(json.dumps(facts))
    spare.rename(HERE / "facts.json")
    while not (HERE / "go-on").exists():
        time.sleep(0.05)
    yield {"val": params.x}
"""

STUDY = """
name = "nosy"
trainable = "nosy:train"
[objective]
metric = "val"
[space]
x = { float = [0.0, 1.0] }
[search]
trials = 2
budget = 1
"""


@pytest.fixture
def project(tmp_path):
    """A user's project whose trainable writes down what its process knows, and waits until it may go on."""
    (tmp_path / "nosy.py").write_text(NOSY)
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "nosy.toml").write_text(STUDY)
    return tmp_path


def started(project, *arguments, **env):
    return subprocess.Popen(
        [*COMMAND, "run", "--study", "nosy", *arguments],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition, process, seconds=240):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.postgres
def test_ray_gets_no_database_password(project, postgres_url, descendants):
    url = postgres_url.replace("postgres:@", f"postgres:{SECRET}@")
    assert SECRET in url
    hidden = {"PGPASSWORD": f"{SECRET}-too", "PGPASSFILE": f"/{SECRET}", "HPO_TOKEN": f"{SECRET}-of-the-pages"}
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "t0ken-of-the-cluster" * 2}
    driver = started(project, "--trials", "2", HPO_STORAGE=url, **hidden, **token, WANDB_API_KEY="kept")
    try:
        wait_for((project / "facts.json").exists, driver)
        processes = [driver.pid, *descendants(driver.pid)]
        titles = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in processes]
        environments = [Path(f"/proc/{pid}/environ").read_bytes() for pid in processes[1:]]
        said = "\n".join(title.decode() for title in titles)
        [session] = {Path(found) for found in re.findall(r"[^\s=\0]+/session_[-\w]+", said)}
        files = {path: path.read_bytes() for path in session.rglob("*") if path.is_file()}
        (project / "go-on").touch()
        out, errors = driver.communicate(timeout=400)
    finally:
        driver.kill()
    assert driver.returncode == 0, errors
    assert any(b"raylet" in title for title in titles), "Ray's processes were not found"
    assert any(b"Worker" in title for title in titles), "no worker was found"
    assert not [title for title in titles if SECRET.encode() in title]
    assert not [one for one in environments if SECRET.encode() in one]
    facts = json.loads((project / "facts.json").read_text())
    assert facts["environment"]["WANDB_API_KEY"] == "kept"
    assert token["RAY_AUTH_TOKEN"] not in json.dumps(facts)
    assert SECRET not in json.dumps(facts)
    assert "hpo" in facts["jobs"], "the job's entry was not found"
    assert any("raylet" in path.name for path in files)
    assert not [path for path, content in files.items() if SECRET.encode() in content]
    assert SECRET not in out + errors


@pytest.mark.ray
@pytest.mark.slow
def test_sigterm_during_ray_start(project):
    """Ray sets a handler of its own for it when it starts."""
    driver = started(project, "--trials", "2")
    try:
        for line in driver.stderr:
            if line.startswith("starting Ray"):
                break
        time.sleep(2)
        driver.send_signal(signal.SIGTERM)
        time.sleep(1)
        (project / "go-on").touch()
        _, errors = driver.communicate(timeout=400)
    finally:
        driver.kill()
    assert driver.returncode == 143, errors
    assert "Continue with: hpo run --study nosy" in errors
    assert "Traceback" not in errors
    rest = started(project, "--trials", "2", "--json")
    out, errors = rest.communicate(timeout=400)
    assert [trial["state"] for trial in json.loads(out)["trials"]] == ["complete"] * 2, errors


STRANGER = """
import logging, os, ray
ray.init(address=os.environ["AT"], log_to_driver=False, logging_level=logging.CRITICAL)
print("nodes:", len(ray.nodes()))
"""


@pytest.mark.ray
@pytest.mark.slow
def test_our_own_ray_requires_a_token(project, descendants):
    """Its ports are those of the loopback interface, and whoever reaches one needs the token, which no file holds."""
    home = project / "home"
    home.mkdir()
    own = {"HOME": str(home), "HPO_TOKEN": SECRET}
    driver = started(project, "--trials", "1", "--concurrency", "1", **own)
    try:
        wait_for((project / "facts.json").exists, driver)
        processes = [psutil.Process(pid) for pid in (driver.pid, *descendants(driver.pid))]
        ports = {c.laddr for each in processes for c in each.net_connections() if c.status == psutil.CONN_LISTEN}
        outer = [address for address in ports if address.ip not in {"127.0.0.1", "::1", "::ffff:127.0.0.1"}]
        raylet = next(one for one in processes if one.name() == "raylet")
        [at] = {word.partition("=")[2] for word in raylet.cmdline() if word.startswith("--gcs-address=")}
        # Without the second one Ray would look for the address at the outer interface, where nobody listens.
        reached = {"AT": at, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
        plain = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | {"HOME": str(home)}
        token = raylet.environ()["RAY_AUTH_TOKEN"]
        unused = [one for one in processes if "ray::IDLE" in " ".join(one.cmdline())]
        answers = [
            subprocess.run(
                [sys.executable, "-c", STRANGER],
                env={**plain, **reached, **more},
                capture_output=True,
                text=True,
                timeout=400,
                check=False,
            ).stdout
            for more in ({}, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token})
        ]
        (project / "go-on").touch()
        _, errors = driver.communicate(timeout=400)
    finally:
        driver.kill()
    assert driver.returncode == 0, errors
    assert len(ports) > 3, "the ports of Ray were not found"
    assert outer == []
    assert unused == [], "workers were started that nobody needs"
    assert answers == ["", "nodes: 1\n"], "the second one shows that the address was right"
    assert not (home / ".ray").exists()
    assert SECRET not in (project / "facts.json").read_text()
