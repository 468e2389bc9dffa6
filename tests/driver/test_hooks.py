"""Functions of a trainable's module that hpo calls: what they print and what they raise."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import forked
import pytest

from hpo import StudyInvalid, UsageError, load_study
from hpo.study.trainable import load

ROOT = Path(__file__).parents[2]

STUDY = """
name = "loud"
trainable = "{module}:train"
[objective]
metric = "loss"
direction = "minimize"
[space]
x = {{ float = [0.0, 1.0] }}
[search]
trials = 2
budget = 2
sampler = "random"
"""

CODE = """
import os
import subprocess
from dataclasses import dataclass

print("imported")

@dataclass(frozen=True)
class Params:
    x: float

def say(what):
    print(what)
    os.write(1, what.encode())
    subprocess.run(["echo", what], check=True)

def check_values(values):
    say("check_values")

def prepare(params, cache, tell):
    say("prepare")

def audit(params, cache, tell):
    say("audit")
    return {"images": 0}

def train(params: Params, ctx):
    for epoch in range(ctx.budget):
        say("train")
        yield {"loss": params.x}
"""


@pytest.fixture
def project(tmp_path, request):
    """A user's own project; its module has a name of its own, as one process imports a name only once."""
    module = f"loud_{abs(hash(request.node.nodeid))}"
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "loud.toml").write_text(STUDY.format(module=module))
    path = list(sys.path)

    def made(code=CODE):
        (tmp_path / f"{module}.py").write_text(textwrap.dedent(code))
        return tmp_path

    yield made
    sys.path[:] = path
    sys.modules.pop(module, None)


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        "check --study loud",
        "run --study loud --backend local --promote",
        "verify --study loud --trial 0 --backend local",
        "data audit --study loud",
    ],
)
def test_stdout_is_only_json(project, command):
    folder = project()
    hpo = [sys.executable, "-m", "hpo"]
    if command.startswith("verify"):
        forked.run([*hpo, "run", "--study", "loud", "--backend", "local"], cwd=folder, check=True, capture_output=True)
    done = forked.run([*hpo, *command.split(), "--json"], cwd=folder, capture_output=True, text=True)
    json.loads(done.stdout)
    assert "imported" in done.stderr
    if not command.startswith("check"):
        assert "prepare" in done.stderr or "audit" in done.stderr


def test_help_goes_to_stdout(project):
    done = subprocess.run([sys.executable, "-m", "hpo", "--help"], cwd=project(), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "promote" in done.stdout


@pytest.mark.parametrize("fault", ["ValueError('no such data')", "SystemExit(3)", "BaseException('panic')"])
def test_hook_error_is_one_sentence(project, fault):
    folder = project(CODE + f"\ndef prepare(params, cache, tell):\n    raise {fault}\n")
    hook = load(load_study(str(folder / "studies" / "loud.toml")).ref).hook("prepare")
    with pytest.raises(UsageError, match=r"prepare\(\) of .* failed: \w+: .*\(loud_\d+\.py, line \d+\)"):
        hook({}, folder, print)


def test_hook_usage_error_is_kept(project):
    code = CODE + "\nfrom hpo import UsageError\ndef prepare(params, cache, tell):\n    raise UsageError('no masks')\n"
    hook = load(load_study(str(project(code) / "studies" / "loud.toml")).ref).hook("prepare")
    with pytest.raises(UsageError, match=r"^no masks$"):
        hook({}, None, print)


def test_ctrl_c_in_a_hook_ends_the_command(project):
    folder = project(CODE + "\ndef prepare(params, cache, tell):\n    raise KeyboardInterrupt\n")
    hook = load(load_study(str(folder / "studies" / "loud.toml")).ref).hook("prepare")
    with pytest.raises(KeyboardInterrupt):
        hook({}, None, print)


def test_failing_hook_leaves_nothing(project):
    folder = project(CODE + "\ndef prepare(params, cache, tell):\n    raise ValueError('no such data')\n")
    command = [sys.executable, "-m", "hpo", "run", "--study", "loud", "--backend", "local"]
    done = forked.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert not (folder / "hpo.db").exists()


def test_hook_gets_choices_ranges_and_folds(project):
    code = CODE + "\nimport hpo\ndef check_values(values, folds=0):\n    raise hpo.UsageError(f'{values} {folds}')\n"
    folder = project(code)
    study = folder / "studies" / "loud.toml"
    study.write_text(study.read_text() + "[validation]\nfolds = 3\n")
    with pytest.raises(StudyInvalid, match=r"\{'x': \(0\.0, 1\.0\)\} 3"):
        load_study("loud", [folder / "studies"])


def test_unusable_data_is_refused_first(project):
    folder = project("from models.density import *  # noqa: F403\nfrom models.density import train\n")
    study = folder / "studies" / "loud.toml"
    text = study.read_text().replace("x = { float", "lr = { float").replace('metric = "loss"', 'metric = "val_loss"')
    study.write_text(text + '[fixed]\ndata = "nowhere/list.csv"\n')
    before = sorted(folder.rglob("*"))
    for command in ("check", "run --backend local", "promote --backend local"):
        hpo = [sys.executable, "-m", "hpo", *command.split(), "--study", "loud"]
        done = forked.run(hpo, cwd=folder, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
        assert done.returncode == 2, done.stderr
        assert "there is no such folder or CSV file" in done.stdout + done.stderr
    assert [path for path in sorted(folder.rglob("*")) if "__pycache__" not in str(path)] == before
