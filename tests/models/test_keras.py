"""Keras by the same seam. TensorFlow stays out of the tests' own process, whose other trainings it would settle too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import hpo
from hpo import api
from hpo.core.errors import TrainableError, UsageError
from hpo.core.installed import install_line

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_spec("keras") is None or find_spec("tensorflow") is None,
        reason="Keras or TensorFlow is not installed: pip install 'hpo-robust[keras]'",
    ),
]
SPACE = """
[space]
lr = { float = [1e-3, 1e-2], log = true }

[fixed]
filters = 4
dropout = 0.25
batch   = 64
"""

SCRIPT = """
import json, sys
from typer.testing import CliRunner
from hpo.cli.main import app

def said(*arguments):
    done = CliRunner().invoke(app, [*arguments, "--backend", "local"])
    return done.exit_code, done.stdout

found = {}
for study in ("seeded", "unseeded"):
    found[study] = [said("run", "--study", study), said("seeds", "replay", "--study", study, "--trial", "0")]
found["resumed"] = said("verify", "--study", "seeded", "--trial", "0", "--resumed")
found["threads"] = said("run", "--study", "threads")
json.dump(found, sys.stdout)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The network's study made small, and what it is without seeds, as a user's own project."""
    folder = tmp_path_factory.mktemp("keras")
    (folder / "studies").mkdir()
    (folder / "models").symlink_to(ROOT / "models")
    text = (ROOT / "studies" / "keras-conv2d.toml").read_text()
    head, _, rest = text.partition("[space]")
    tail = rest[rest.index("[search]") :].replace("trials  = 20", "trials = 2").replace("budget  = 4", "budget = 2")
    for name, more, end in (
        ("seeded", "", tail),
        ("unseeded", "seeded = false\n", tail),
        ("threads", "", tail.replace("cpu = 1", "cpu = 2")),
    ):
        changed = head.replace('"keras-conv2d"', f'"{name}"') + SPACE + more + end
        (folder / "studies" / f"{name}.toml").write_text(changed)
    return folder


def process(project, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def said(project):
    return json.loads(process(project, "-c", SCRIPT).splitlines()[-1])


def test_seeded_runs_are_bit_identical(said):
    (ran, _), (replayed, text) = said["seeded"]
    assert (ran, replayed) == (0, 0)
    assert "bit-identical 3 of 3" in text


def test_unseeded_runs_differ(said):
    (ran, _), (replayed, text) = said["unseeded"]
    assert (ran, replayed) == (0, 0)
    assert "bit-identical 1 of 3" in text
    assert "They differ in start, weights" in text


def test_resumed_dropout_is_the_same(said):
    status, text = said["resumed"]
    assert status == 0, text
    assert "1 of 1 training identical." in text


def test_tensorflow_keeps_its_threads(said, project):
    assert said["threads"][0] == 1
    config = hpo.RunConfig(storage=f"sqlite:///{project / 'hpo.db'}", outputs=project / "outputs")
    [evaluation] = api.show("threads", 0, config)[1]
    assert "TensorFlow was started with 1 threads in this process and cannot change to 2" in evaluation.error


def test_fingerprint_has_the_versions(said, project):
    config = hpo.RunConfig(storage=f"sqlite:///{project / 'hpo.db'}", outputs=project / "outputs")
    evaluation, *_ = api.show("seeded", 0, config)[1]
    assert {"keras", "tensorflow"} <= set(evaluation.fingerprint["packages"])


@pytest.mark.ray
def test_ray_workers_are_bit_identical(said, project):
    config = hpo.RunConfig(storage=f"sqlite:///{project / 'hpo.db'}", outputs=project / "outputs")
    options = ["--storage", "sqlite:///ray.db", "--outputs", "ray", "--concurrency", "1"]
    process(project, "-c", "from hpo.cli import main; main()", "run", "--study", "seeded", *options)
    there = hpo.RunConfig(storage=f"sqlite:///{project / 'ray.db'}", outputs=project / "ray")
    for trial in (0, 1):
        here, *_ = api.show("seeded", trial, config)[1]
        [other] = api.show("seeded", trial, there)[1]
        assert here.digests == other.digests


def test_the_study_is_valid(tmp_path):
    folder = str(ROOT / "studies")
    told = process(tmp_path, "-m", "hpo", "check", "--study", "keras-conv2d", "--studies", folder)
    assert "keras-conv2d: no problems." in told


def test_missing_keras_names_the_extra(tmp_path):
    code = "import sys; sys.modules['keras'] = None; from hpo.cli import main; main()"
    command = [sys.executable, "-c", code, "check", "--study", "keras-conv2d", "--studies", str(ROOT / "studies")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"it needs 'keras', which is not installed: {install_line('keras')}" in done.stderr


class Variable:
    """As much of a Keras variable as its state needs."""

    def __init__(self, values):
        import numpy as np

        self._values = np.array(values)
        self.shape = self._values.shape

    def numpy(self):
        return self._values

    def assign(self, values):
        self._values = values


class Holder:
    def __init__(self, *variables):
        self.variables = [Variable(values) for values in variables]


def test_state_round_trip():
    first, second = Holder([1.0, 2.0], [3]), Holder([0.0, 0.0], [0])
    hpo.KerasState(second).load_state_dict(hpo.KerasState(first).state_dict())
    assert [one.numpy().tolist() for one in second.variables] == [[1.0, 2.0], [3]]


def test_foreign_states_are_refused():
    with pytest.raises(TrainableError, match="expected 2 with the same shapes, got 1"):
        hpo.KerasState(Holder([1.0], [2])).load_state_dict(hpo.KerasState(Holder([1.0])).state_dict())
    with pytest.raises(UsageError, match="Holder has no variables yet; build it first"):
        hpo.KerasState(Holder())
