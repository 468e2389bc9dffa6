"""Functions of a trainable's module that hpo calls: what they print and what they raise."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import pytest

from hpo import UsageError, load_study
from hpo.training import load

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

def refuse_unusable(values):
    say("refuse_unusable")

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


@pytest.mark.parametrize(
    "command",
    [
        "check --study loud",
        "run --study loud --backend local --promote",
        "verify --study loud --trial 0 --backend local",
        "data audit --study loud",
    ],
)
def test_json_stands_alone_on_stdout(project, command):
    folder = project()
    hpo = [sys.executable, "-m", "hpo"]
    if command.startswith("verify"):
        subprocess.run(
            [*hpo, "run", "--study", "loud", "--backend", "local"], cwd=folder, check=True, capture_output=True
        )
    done = subprocess.run([*hpo, *command.split(), "--json"], cwd=folder, capture_output=True, text=True)
    json.loads(done.stdout)
    assert "imported" in done.stderr
    if not command.startswith("check"):
        assert "prepare" in done.stderr or "audit" in done.stderr


def test_help_is_printed_on_stdout(project):
    done = subprocess.run([sys.executable, "-m", "hpo", "--help"], cwd=project(), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "promote" in done.stdout


@pytest.mark.parametrize("fault", ["ValueError('no such data')", "SystemExit(3)", "BaseException('panic')"])
def test_what_a_hook_raises_is_a_sentence(project, fault):
    folder = project(CODE + f"\ndef prepare(params, cache, tell):\n    raise {fault}\n")
    hook = load(load_study(str(folder / "studies" / "loud.toml")).ref).hook("prepare")
    with pytest.raises(UsageError, match=r"prepare\(\) of .* failed: \w+: .*\(loud_\d+\.py, line \d+\)"):
        hook({}, folder, print)


def test_a_hook_may_refuse_in_its_own_words(project):
    code = CODE + "\nfrom hpo import UsageError\ndef prepare(params, cache, tell):\n    raise UsageError('no masks')\n"
    hook = load(load_study(str(project(code) / "studies" / "loud.toml")).ref).hook("prepare")
    with pytest.raises(UsageError, match=r"^no masks$"):
        hook({}, None, print)


def test_ctrl_c_in_a_hook_ends_the_command(project):
    folder = project(CODE + "\ndef prepare(params, cache, tell):\n    raise KeyboardInterrupt\n")
    hook = load(load_study(str(folder / "studies" / "loud.toml")).ref).hook("prepare")
    with pytest.raises(KeyboardInterrupt):
        hook({}, None, print)


def test_a_hook_that_fails_leaves_nothing(project):
    folder = project(CODE + "\ndef prepare(params, cache, tell):\n    raise ValueError('no such data')\n")
    command = [sys.executable, "-m", "hpo", "run", "--study", "loud", "--backend", "local"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert not (folder / "hpo.db").exists()
