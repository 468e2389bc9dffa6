"""Checkpoints: damaged, of another job, partial, on a full disk, and at a pause."""

from __future__ import annotations

import errno
import os
import pickle
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hpo.core.errors import CheckpointInvalid
from hpo.core.protocols import Resources, TrainableRef
from hpo.core.records import Job, Objective, Stage, Status
from hpo.training import TrainingRun, discard_checkpoint
from hpo.training.checkpoint import NEWEST, PREVIOUS, Checkpoint

PROJECT = Path(__file__).parents[1] / "project"
NET = TrainableRef(path="toys.net:train", root=str(PROJECT), objective=Objective(metric="val_acc"))


def job(seed=42, budget=5, stage=Stage.PROMOTION):
    return Job(trial=0, params={"lr": 0.05}, seed=seed, budget=budget, stage=stage)


def whole(one, work, stop_after=None):
    """Trains to the end, or abandons the training after `stop_after` steps, as a killed process does."""
    training = TrainingRun(one, NET, Resources(), work)
    steps = 0
    while True:
        update = training.advance()
        steps += len(update.reports)
        if update.status is not None or steps == stop_after:
            training.close()
            return update


@pytest.fixture
def cut(tmp_path):
    """The folder of a training that was killed in its fourth epoch, and the digests of an uninterrupted one."""
    whole(job(), tmp_path / "cut", stop_after=4)
    folder = tmp_path / "cut" / job().folder
    assert (folder / NEWEST).exists()
    assert (folder / PREVIOUS).exists()
    return folder, whole(job(), tmp_path / "whole").outcome.digests


def truncated(content):
    return content[: len(content) // 2]


def one_bit_flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def emptied(content):
    return b""


@pytest.mark.parametrize("damage", [truncated, one_bit_flipped, emptied])
def test_damaged_checkpoint_falls_back(cut, damage):
    folder, digests = cut
    (folder / NEWEST).write_bytes(damage((folder / NEWEST).read_bytes()))
    update = whole(job(), folder.parents[1])
    assert update.outcome.digests == digests
    assert update.outcome.remarks == ("checkpoint.pt is damaged (its sha256 does not match): resumed after epoch 2",)
    assert "resumed after epoch 2" in (folder / "run.log").read_text()


def test_damaged_is_never_the_previous(cut):
    folder, digests = cut
    for epoch in (2, 2):
        (folder / NEWEST).write_bytes(truncated((folder / NEWEST).read_bytes()))
        whole(job(), folder.parents[1], stop_after=4)
        assert Checkpoint.load(folder / PREVIOUS, job().digest, "cpu").epoch == epoch
    assert whole(job(), folder.parents[1]).outcome.digests == digests


def test_both_damaged_restarts_bit_exactly(cut):
    folder, digests = cut
    for name in (NEWEST, PREVIOUS):
        (folder / name).write_bytes(b"not a checkpoint at all, but long enough to hold a sum")
    update = whole(job(), folder.parents[1])
    assert update.outcome.digests == digests
    assert update.outcome.remarks == ("checkpoint-previous.pt is damaged (its sha256 does not match): started over",)


def test_sound_checkpoint_no_remark(cut):
    folder, digests = cut
    update = whole(job(), folder.parents[1])
    assert (update.outcome.digests, update.outcome.remarks) == (digests, ())


def test_crash_between_renames(cut):
    folder, digests = cut
    (folder / NEWEST).unlink()
    assert whole(job(), folder.parents[1]).outcome.digests == digests


def test_other_jobs_checkpoint_ignored(cut):
    folder, _ = cut
    other = job(seed=43)
    target = folder.parents[1] / other.folder
    target.mkdir(parents=True)
    (target / NEWEST).write_bytes((folder / NEWEST).read_bytes())
    update = whole(other, folder.parents[1])
    assert update.outcome.remarks == ("checkpoint.pt belongs to another job: started over",)
    assert update.outcome.digests == whole(other, folder.parents[1] / "undisturbed").outcome.digests


def test_discard_removes_partial_files(cut):
    folder, _ = cut
    half = folder / ".checkpoint.pt.4711"
    half.write_bytes(b"half")
    (folder / "run.log").unlink()
    discard_checkpoint(folder.parents[1], job())
    assert not folder.exists()


class Payload:
    def __reduce__(self):
        return os.system, ("touch pwned",)


def test_checkpoint_executes_nothing(tmp_path, monkeypatch):
    import hashlib
    import io

    monkeypatch.chdir(tmp_path)
    evil = io.BytesIO()
    torch.save({"job": Payload()}, evil)
    for content in (evil.getvalue(), pickle.dumps(Payload())):
        (tmp_path / "evil.pt").write_bytes(content + hashlib.sha256(content).digest())
        with pytest.raises(CheckpointInvalid, match="cannot be read"):
            Checkpoint.load(tmp_path / "evil.pt", "job", "cpu")
    assert not (tmp_path / "pwned").exists()


@pytest.mark.slow
def test_full_disk_does_not_end_training(tmp_path):
    """A limit on the file size simulates a full disk: the checkpoints are larger."""
    expected = whole(job(stage=Stage.SEARCH), tmp_path / "whole").outcome.digests

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # the write then fails with EFBIG
        resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))

    code = (
        "import sys; sys.path.insert(0, sys.argv[2]); from pathlib import Path; import test_checkpoint as t;"
        "p = t.whole(t.job(stage=t.Stage.SEARCH), Path(sys.argv[1]));"
        "print(p.status, p.outcome.digests['weights'], *p.outcome.remarks, sep=chr(10))"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", code, str(tmp_path / "full"), str(Path(__file__).parent)],  # -B: no cut .pyc file
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=limit,
    )
    status, weights, *remarks = done.stdout.splitlines()
    assert (status, weights) == ("complete", expected["weights"])
    assert remarks == [f"no checkpoint after epoch {epoch}: {os.strerror(errno.EFBIG)}" for epoch in (1, 2, 3, 4)]
    left = [path.name for path in (tmp_path / "full").rglob("*") if path.is_file() and path.suffix != ".log"]
    assert left == [], "nothing half-written is left; the log, whose lines are whole or missing, is"


@pytest.mark.parametrize("epochs", [1, 3])
def test_pause_saves_and_resumes_exactly(tmp_path, epochs):
    training = TrainingRun(job(), NET, Resources(), tmp_path / "paused")
    for _ in range(epochs):
        training.advance()
    update = training.pause()
    training.close()
    assert (update.paused, update.status, update.reports) == (True, None, ())
    saved = Checkpoint.load(tmp_path / "paused" / job().folder / NEWEST, job().digest, "cpu")
    assert (saved.epoch, len(saved.reports)) == (epochs, epochs)
    assert whole(job(), tmp_path / "paused").outcome.digests == whole(job(), tmp_path / "whole").outcome.digests


def test_finished_training_does_not_pause(tmp_path):
    training = TrainingRun(job(budget=2), NET, Resources(), tmp_path)
    training.advance()
    training.advance()
    update = training.pause()
    training.close()
    assert (update.paused, update.status) == (False, Status.COMPLETE)


def test_unstarted_training_pauses(tmp_path):
    training = TrainingRun(job(), NET, Resources(), tmp_path)
    assert training.pause().paused
    training.close()
    assert not list(tmp_path.rglob("*.pt"))
