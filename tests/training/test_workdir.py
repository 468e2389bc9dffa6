"""Work folders at a URL: on a real FTP server, and at a file:// URL."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

import hpo
from hpo.cli.main import app
from hpo.core.errors import OutputRefused, UsageError
from hpo.core.protocols import Resources, TrainableRef
from hpo.core.records import Job, Objective, Stage, Status
from hpo.core.run_config import RunConfig
from hpo.training import TrainingRun, check_writable_url, discard_checkpoint, local_copy, work_dir
from hpo.training.checkpoint import NEWEST, PREVIOUS

PROJECT = Path(__file__).parents[1] / "project"
NET = TrainableRef(path="toys.net:train", root=str(PROJECT), objective=Objective(metric="val_acc"))
JOB = Job(trial=0, params={"lr": 0.05}, seed=42, budget=5, stage=Stage.PROMOTION)


class Remote:
    """A URL, and the local folder where its server stores the files."""

    def __init__(self, url, folder, server=None):
        self.url, self.folder, self.server = url, folder, server

    def files(self):
        return sorted(path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file())


@pytest.fixture(params=["file", "ftp"])
def remote(request, tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    if request.param == "file":
        yield Remote(f"file://{kept}", kept)
        return
    pytest.importorskip("pyftpdlib", reason="no FTP server from PyPI on this machine")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-W", "ignore", "-m", "pyftpdlib", "-i", "127.0.0.1", "-p", str(port), "-w"]
    server = subprocess.Popen([*command, "-d", str(kept)], stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        yield Remote(f"ftp://127.0.0.1:{port}", kept, server)
    finally:
        server.kill()
        server.wait()


def wait_for(port):
    end = time.monotonic() + 400
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            assert time.monotonic() < end, "the server does not start"
            time.sleep(0.05)
        else:
            return


@pytest.fixture
def another_machine(tmp_path, monkeypatch):
    """Returns a function that moves this process's scratch files to another folder, as on another machine."""

    def turn(name):
        (tmp_path / name).mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / name))
        return tmp_path / name

    turn("first-machine")
    return turn


def trained(work, stop_after=None):
    """Trains to the end, or abandons the training after `stop_after` steps, as a killed process does."""
    training = TrainingRun(JOB, NET, Resources(), work)
    steps = 0
    while True:
        update = training.advance()
        steps += len(update.reports)
        if update.status is not None or steps == stop_after:
            training.close()
            return update


def test_resume_on_another_machine(tmp_path, remote, another_machine):
    study = f"{remote.url}/study"
    trained(study, stop_after=4)
    assert f"study/{JOB.folder}/{NEWEST}" in remote.files()
    assert f"study/{JOB.folder}/{PREVIOUS}" in remote.files()
    another_machine("second-machine")
    resumed = trained(study)
    assert resumed.status is Status.COMPLETE
    assert "resumed after epoch 3" in (local_copy(resumed.outcome.files) / "run.log").read_text()
    undisturbed = trained(tmp_path / "plain")
    assert resumed.outcome.digests == undisturbed.outcome.digests


def test_damaged_remote_falls_back(tmp_path, remote, another_machine):
    study = f"{remote.url}/study"
    trained(study, stop_after=4)
    newest = remote.folder / "study" / JOB.folder / NEWEST
    newest.write_bytes(newest.read_bytes()[:-1])
    resumed = trained(study)
    assert resumed.outcome.remarks == (f"{NEWEST} is damaged (its sha256 does not match): resumed after epoch 2",)
    assert resumed.outcome.digests == trained(tmp_path / "plain").outcome.digests


def test_results_go_to_the_url(remote, another_machine):
    study = f"{remote.url}/study"
    update = trained(study)
    assert update.outcome.files == f"{study}/{JOB.folder}"
    discard_checkpoint(study, JOB)
    assert [Path(name).name for name in remote.files()] == ["best_model.pt", "predictions.npz", "run.log"]
    assert [path for path in (work_dir(study).scratch).rglob("*") if path.is_file()] == []


def test_search_trial_leaves_its_log(remote, another_machine):
    study, job = f"{remote.url}/study", replace(JOB, stage=Stage.SEARCH)
    training = TrainingRun(job, NET, Resources(), study)
    while training.advance().status is None:
        pass
    training.close()
    discard_checkpoint(study, job)
    assert [path.rpartition("study/")[2] for path in remote.files()] == [f"logs/{job.folder}.log"]
    [log] = work_dir(study).logs(job.trial)
    assert "complete in" in log.read_text()


def test_log_of_dropped_files_can_stay(remote, another_machine):
    study = f"{remote.url}/study"
    trained(study)
    discard_checkpoint(study, JOB)
    work_dir(study).drop(JOB.folder, leave_log=True)
    assert [path.rpartition("study/")[2] for path in remote.files()] == [f"logs/{JOB.folder}.log"]
    [log] = work_dir(study).logs(JOB.trial)
    assert "complete in" in log.read_text()


def test_flag_reaches_other_machines(remote, another_machine):
    study = f"{remote.url}/study"
    work_dir(study).set_flag("halt-1")
    another_machine("second-machine")
    assert work_dir(study).has_flag("halt-1")
    assert not work_dir(study).has_flag("halt-2")
    work_dir(study).clear_flag("halt-1")
    assert not work_dir(study).has_flag("halt-1")


def test_flags_are_cleared_by_prefix(remote):
    study = f"{remote.url}/study"
    flags = ["halt-1", "halt-1-time", "halt-2"]
    for name in flags:
        work_dir(study).set_flag(name)
    work_dir(study).clear_flags("halt-1")
    assert [name for name in flags if work_dir(study).has_flag(name)] == ["halt-2"]


@pytest.mark.slow
def test_lost_server_fails_at_the_end(remote, another_machine):
    if remote.server is None:
        pytest.skip("there is no server")
    training = TrainingRun(JOB, NET, Resources(), f"{remote.url}/study")
    training.advance()
    remote.server.kill()
    remote.server.wait()
    update = training.advance(60)
    training.close()
    assert update.status is Status.FAILED
    assert "its files cannot be saved" in update.error
    assert len(training._progress.reports) == 5
    assert any(remark.startswith("no checkpoint after epoch 2") for remark in training._progress.remarks)


@pytest.mark.slow
def test_promotion_at_a_url_is_equal(tmp_path, curve, config, remote, another_machine):
    study = curve(
        trainable="toys.net:train",
        space={"lr": {"float": [0.01, 0.1]}},
        objective={"metric": "val_acc"},
        search={"trials": 2, "budget": 2},
        promotion={"seeds": [42, 43]},
    )
    there = replace(config, work=remote.url, storage=f"sqlite:///{tmp_path / 'there.db'}", outputs=tmp_path / "there")
    hpo.run(study, config)
    here = hpo.promote(study, config, top=1)
    hpo.run(study, there)
    another_machine("second-machine")
    remote_made = hpo.promote(study, there, top=1)
    assert [path.name for path in remote_made.results] == [path.name for path in here.results]
    for one, other in zip(here.results, remote_made.results, strict=True):
        assert (one / "best_model.pt").read_bytes() == (other / "best_model.pt").read_bytes()
        assert (one / "val_predictions.csv").read_bytes() == (other / "val_predictions.csv").read_bytes()
    another_machine("third-machine")
    for path in remote_made.results:
        (path / "best_model.pt").unlink()
        path.rename(tmp_path / path.name)
    again = hpo.promote(study, there, top=1)
    assert again.trained == 0, "the files are at the URL"
    assert (again.results[0] / "best_model.pt").read_bytes() == (here.results[0] / "best_model.pt").read_bytes()


WRONG = [
    ("s4://bucket/x", UsageError, r"unknown protocol s4://.*sftp"),
    ("s3://bucket/x", UsageError, "s3:// needs a package: ImportError: Install s3fs"),
    ("ftp://user:s3cret@127.0.0.1:1/x", UsageError, "contains a password"),
    ("ftp://user:pass@s3cret/x@127.0.0.1:1/x", UsageError, "contains a password"),
    ("simplecache::ftp://127.0.0.1:1/x?password=s3cret", UsageError, "contains a password"),
    ("ftp://127.0.0.1:1/x", OutputRefused, "cannot reach ftp://127.0.0.1:1/x: ConnectionRefusedError"),
    ("http://127.0.0.1:1/x", (UsageError, OutputRefused), "http"),
]


@pytest.mark.parametrize(("url", "error", "message"), WRONG)
def test_unusable_url_fails_early(tmp_path, config, curve, url, error, message):
    with pytest.raises(error, match=message) as caught:
        hpo.run(curve(), replace(config, work=url))
    assert "s3cret" not in str(caught.value)
    assert not (tmp_path / "hpo.db").exists()


def test_a_plain_folder_needs_no_fsspec():
    code = "import sys, hpo.training; hpo.training.work_dir('/x'); sys.exit('fsspec' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(PROJECT.parents[1])}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def test_work_root_is_absolute_or_url(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert RunConfig(work=Path("w")).work_root == str(tmp_path / "w")
    assert RunConfig(work="w").work_root == str(tmp_path / "w")
    assert RunConfig(work="s3://bucket/w/").work_root == "s3://bucket/w"
    assert RunConfig().work_root == str(tmp_path / "outputs" / ".work")


def test_url_on_the_command_line(tmp_path, curve, another_machine):
    from typer.testing import CliRunner

    arguments = ["run", "--study", str(curve().root / "studies" / "curve.toml"), "--backend", "local", "--trials", "1"]
    arguments += ["--storage", f"sqlite:///{tmp_path / 'hpo.db'}", "--outputs", str(tmp_path / "o")]
    done = CliRunner().invoke(app, [*arguments, "--workdir", f"file://{tmp_path / 'kept'}"])
    assert done.exit_code == 0, done.output
    assert not (tmp_path / "o" / ".work").exists()


def test_read_only_url_is_rejected():
    with pytest.raises(OutputRefused, match="cannot write to data:"):
        check_writable_url("data://text/plain,x")
