"""The batch script of docs/slurm.md, with a stand-in for SLURM's commands and two real nodes of Ray on one machine."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

import hpo
from hpo import api
from hpo.core.errors import HpoError

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "tests" / "project"
[SCRIPT] = re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "slurm.md").read_text(), re.DOTALL)
COMMANDS = {
    "scontrol": 'test "$1 $2 $3" = "show hostnames node[1-2]" && printf "127.0.0.1\\nnode2\\n"',
    "srun": 'while case $1 in --*) true ;; *) false ;; esac; do shift; done; echo "$@" >> "$RAN"; exec "$@"',
    "sleep": "exec /bin/sleep 8",  # instead of 20
    "ray": 'case $2 in --head) set -- "$@" --include-dashboard=false --temp-dir="$RAY_FOLDER" ;; esac\n'
    f'exec {sys.executable} -c "from ray.scripts.scripts import main; main()" "$@" --disable-usage-stats',
    "hpo": f'exec {sys.executable} -c "from hpo.cli import main; main()" "$@"',
}
pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture
def job(tmp_path, descendants, one_head):
    """Starts the batch script, as `sbatch study.sbatch curve` does."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # a socket's path has to be short
    shutil.copytree(PROJECT / "toys", tmp_path / "toys", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "studies").mkdir()
    text = (
        (PROJECT / "studies" / "curve.toml").read_text().replace("trials = 20\nbudget = 5", "trials = 4\nbudget = 12")
    )
    (tmp_path / "studies" / "curve.toml").write_text(f"{text}\n[promotion]\ntop = 1\n\n[fixed]\nnap = 1.0\n")
    (tmp_path / "study.sbatch").write_text(SCRIPT)
    (tmp_path / "bin").mkdir()
    for name, body in COMMANDS.items():
        file = tmp_path / "bin" / name
        file.write_text(f"#!/bin/sh\n{body}\n")
        file.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(tmp_path / "bin"), os.environ["PATH"]]),
        "PYTHONPATH": str(ROOT),
        "RAY_AUTH_MODE": "disabled",
        "RAY_FOLDER": str(folder),
        "RAN": str(tmp_path / "ran"),
        "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_CPUS_PER_TASK": "1",
    }
    started = []

    def start(number):
        with (tmp_path / f"job-{number}.out").open("w") as out:
            one = subprocess.Popen(
                ["bash", "study.sbatch", "curve"],
                cwd=tmp_path,
                env={**environment, "SLURM_JOB_ID": str(number)},
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        started.append(one)
        return one

    def kill(one):
        """Ends the job with all its steps, as SLURM does when a batch script is over."""
        for pid in [*descendants(one.pid), one.pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        subprocess.run(["pkill", "-9", "-s", str(one.pid)], check=False)
        one.wait()

    yield start, kill
    for one in started:
        kill(one)
    shutil.rmtree(folder, ignore_errors=True)


def reports(config):
    try:
        return sum(len(one.values) for one in api.trials("curve", config).trials)
    except HpoError:  # the database is not there yet, or has no tables yet
        return 0


def test_a_job_that_timed_out_goes_on(job, tmp_path):
    start, kill = job
    config = hpo.RunConfig(storage=f"sqlite:///{tmp_path / 'hpo.db'}", outputs=tmp_path / "outputs")
    first = start(7001)
    end = time.monotonic() + 300
    while not reports(config):
        assert first.poll() is None, (tmp_path / "job-7001.out").read_text()
        assert time.monotonic() < end, (tmp_path / "job-7001.out").read_text()
        time.sleep(0.5)
    first.send_signal(signal.SIGTERM)  # as --signal=B:TERM@120
    assert first.wait(120) == 128 + signal.SIGTERM
    before = {one.number: one.values for one in api.trials("curve", config).trials if one.values}
    assert not list((tmp_path / "outputs").rglob("results_*"))
    kill(first)
    again = start(7002)
    assert again.wait(400) == 0, (tmp_path / "job-7002.out").read_text()
    trials = api.trials("curve", config).trials
    assert [one.state for one in trials if one.state in ("complete", "pruned")] == [one.state for one in trials]
    assert len(trials) == 4
    for number, values in before.items():
        assert {step: trials[number].values[step] for step in values} == values
    assert (tmp_path / "outputs" / "curve" / "results_9").is_dir()
    ran = (tmp_path / "ran").read_text().splitlines()
    assert [line.split()[2][:9] for line in ran] == ["--head", "--address"] * 2
