"""What trainings print: in the log of each, live in the driver, and shown by `hpo logs --trial`."""

from __future__ import annotations

import io
import re
import sys
from dataclasses import replace

import pytest

import hpo
from hpo import api
from hpo.backends.prints import Prints

TRAINABLE = """
import sys

def train(params, ctx):
    print("printed", params["a"])
    print("\\x1b[31mred\\x1b[0m", file=sys.stderr)
    ctx.log("logged")
    for epoch in ctx.epochs():
        print("\\r1 of 2", end="")
        print("\\r2 of 2")
        yield {"val": params["a"] * epoch}
"""

STUDY = """
name = "chatty"
trainable = "chatty:train"
objective = { metric = "val" }
space = { a = { int = [1, 9] } }
search = { trials = 2, budget = 2, sampler = "random", pruner = "none" }
promotion = { top = 1 }
"""


def kept(*pieces):
    found, stream = [], io.StringIO()
    prints = Prints(stream, found.append)
    for piece in pieces:
        prints.write(piece)
    assert stream.getvalue() == "".join(pieces), "everything goes on to where it went"
    return found


@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        (("one\ntwo\n",), ["one", "two"]),
        (("o", "ne", "\n"), ["one"]),
        (("\r1 of 3", "\r2 of 3", "\r3 of 3", "\n"), ["3 of 3"]),
        (("1 of 2\r", "2 of 2\r\n"), ["2 of 2"]),
        (("\x1b[31mred\x1b[0m\n",), ["red"]),
        (("\x1b[2K\n", "  \n"), []),
    ],
)
def test_lines_are_as_a_terminal_shows_them(pieces, lines):
    assert kept(*pieces) == lines


@pytest.fixture
def chatty(tmp_path, monkeypatch):
    (tmp_path / "chatty.py").write_text(TRAINABLE)
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "chatty.toml").write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "chatty", raising=False)  # of the test before, in another folder
    return api.load_study("studies/chatty.toml")


def logged(config, trial):
    text = "".join(api.logs("chatty", config, trial=trial))
    return re.sub(r"(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \[INFO\] ", "", text).splitlines()


EXPECTED = ["red", "logged", "2 of 2", "epoch 1/2  val {0}", "2 of 2", "epoch 2/2  val {1}"]


def test_every_trial_has_a_log(chatty, config, capfd):
    api.run(chatty, config)
    first = api.show("chatty", 0, config)[0].params["a"]
    head, start, printed, *rest, end = logged(config, 0)
    assert (head, start) == ("trial 0, search, seed 41:", f"trial 0 seed 41 budget 2 cpu a={first}")
    assert printed == f"printed {first}"
    assert rest == [line.format(f"{first:.4f}", f"{2 * first:.4f}") for line in EXPECTED]
    assert end.startswith("complete in ")
    shown = capfd.readouterr()
    assert f"printed {first}\n" in shown.out, "it is also printed, as it comes"
    assert "red" in shown.err


@pytest.mark.slow
def test_replicates_have_logs_too(chatty, config):
    api.run(chatty, config)
    winner = api.promote(chatty, config).report.winner.candidate.trial
    heads = [line for line in logged(config, winner) if line.endswith(":")]
    assert heads == [f"trial {winner}, search, seed 41:"] + [
        f"trial {winner}, promotion, seed {seed}:" for seed in (42, 43, 44)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("keep", ["winner", "all"])
def test_logs_at_a_url(chatty, config, tmp_path, keep):
    at_url = replace(config, work=f"file://{tmp_path}/away")
    api.run(chatty, at_url, keep=keep)
    assert "logged" in logged(at_url, 1)


@pytest.mark.ray
@pytest.mark.slow
def test_workers_write_the_same_logs(chatty, config, at_ray, capfd):
    at_workers = replace(config, backend="ray", concurrency=1)
    api.run(chatty, at_workers)
    first = api.show("chatty", 0, at_workers)[0].params["a"]
    _, _, *lines, _ = logged(at_workers, 0)
    assert lines == [f"printed {first}", *(line.format(f"{first:.4f}", f"{2 * first:.4f}") for line in EXPECTED)]
    assert f"trial 0: printed {first}\n" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trial": 9}, "study 'chatty' has trials 0 .. 1, not 9"),
        ({"trial": 0, "follow": True}, "--follow continues the output of a job"),
        ({}, "hpo logs --study chatty --trial 0"),
    ],
)
def test_a_log_that_is_not_there(chatty, config, options, message):
    api.run(chatty, config)
    with pytest.raises(hpo.UsageError, match=re.escape(message)):
        "".join(api.logs("chatty", config, **options))


def test_a_removed_log_is_reported(chatty, config):
    api.run(chatty, config)
    for path in config.outputs.rglob("*.log"):
        path.unlink()
    with pytest.raises(hpo.UsageError, match="trial 0 of study 'chatty' has no log below"):
        "".join(api.logs("chatty", config, trial=0))
