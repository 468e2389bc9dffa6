"""The command line as a user sees it; errors have a module of their own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import forked
import pytest

PROJECT = Path(__file__).parents[1] / "project"
ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from hpo.cli import main; main()"]


def own_project(parent):
    """Makes a copy of the toy project under other names: a user's own."""
    folder = parent / "own"
    shutil.copytree(PROJECT / "toys", folder / "mine", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "tuning").mkdir()
    text = (PROJECT / "studies" / "curve.toml").read_text()
    (folder / "tuning" / "curve.toml").write_text(text.replace("toys.curve", "mine.curve"))
    return folder


@pytest.fixture
def project(tmp_path):
    return own_project(tmp_path)


def hpo(folder, *arguments, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HPO_STUDIES": "tuning", **options.pop("env", {})}
    return forked.run(
        [*COMMAND, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=400, check=False
    )


@pytest.mark.slow
def test_own_project_runs(project):
    done = hpo(project, "run", "--study", "curve", "--backend", "local", "--promote")
    assert done.returncode == 0, done.stderr
    assert "20 trials in" in done.stdout
    assert "Incumbent: trial" in done.stdout
    assert "Winner: trial" in done.stdout
    assert "results_7  results_8  results_9" in done.stdout
    assert "maximize val · 20 trials · 5 epochs · seed 41 · tpe+gp + median pruner" in done.stderr
    assert "reproducible: yes (lag 4)" in done.stderr
    assert "\x1b[" not in done.stdout + done.stderr, "no colours where there is no terminal"
    assert sorted(path.name for path in (project / "outputs" / "curve").iterdir()) == [
        "promotion.csv",
        "promotion.html",
        "promotion.json",
        "promotion.md",
        "promotion.tex",
        "results_7",
        "results_8",
        "results_9",
    ]
    header, *rows = [line for line in done.stdout.splitlines() if line.lstrip().startswith(("rank", "1 ", "2 ", "3 "))]
    assert header.split()[:8] == ["rank", "trial", "seed", "42", "seed", "43", "seed", "44"]
    assert len(rows) == 3
    assert "…" not in done.stdout, "a number that is cut is wrong"

    again = hpo(project, "promote", "--study", "curve", "--backend", "local", "--json")
    values = json.loads(again.stdout)
    assert values["trained"] == 0
    assert len(values["candidates"]) == 3

    ranked = json.loads(hpo(project, "rank", "--study", "curve", "--lambda", "0", "--json").stdout)
    assert ranked["lambda"] == 0
    means = [row["mean"] for row in ranked["candidates"]]
    assert means == sorted(means, reverse=True)
    assert "mean - 0 sigma" in hpo(project, "rank", "--study", "curve", "--lambda", "0").stdout

    shown = hpo(project, "show", "--study", "curve", str(values["winner"]))
    assert [line.split()[:2] for line in shown.stdout.splitlines()[3:7]] == [
        ["search", "41"],
        ["promotion", "42"],
        ["promotion", "43"],
        ["promotion", "44"],
    ]
    assert json.loads(hpo(project, "show", "--study", "curve", "0", "--json").stdout)["number"] == 0

    [status] = json.loads(hpo(project, "status", "--json").stdout)
    assert (status["promoted"], sum(status["counts"].values())) == (values["winner"], 20)
    assert "20 of 20" in hpo(project, "status", "--study", "curve").stdout


@pytest.mark.slow
def test_stdout_is_only_json(project):
    done = hpo(project, "run", "--study", "curve", "--backend", "local", "--trials", "5", "--promote", "--json")
    values = json.loads(done.stdout)
    assert len(values["search"]["trials"]) == 5
    assert len(values["promotion"]["results"]) == 3


@pytest.mark.slow
def test_studies_and_check_output(project):
    listed = hpo(project, "studies")
    assert "curve" in listed.stdout
    assert "tuning/curve.toml" in listed.stdout
    assert "no problems" in hpo(project, "check", "--study", "curve").stdout
    assert json.loads(hpo(project, "studies", "--json").stdout)[0]["study"]["name"] == "curve"


@pytest.mark.slow
def test_schema_is_printed(project):
    schema = json.loads(hpo(project, "studies", "--schema").stdout)
    assert {"name", "trainable", "objective", "space", "search"} <= set(schema["properties"])
    assert "lambda" in json.dumps(schema)
    assert "float" in json.dumps(schema)


@pytest.mark.slow
def test_search_seed_in_promotion_is_marked(project):
    text = (project / "tuning" / "curve.toml").read_text()
    (project / "tuning" / "curve.toml").write_text(text.replace("[search]", "[search]\nseed = 42"))
    checked = hpo(project, "check", "--study", "curve")
    assert checked.returncode == 0
    assert "note: promotion.seeds  42 is also the search's seed" in checked.stdout
    done = hpo(project, "run", "--study", "curve", "--backend", "local", "--trials", "4", "--promote")
    assert "Note: promotion.seeds: 42 is also the search's seed" in done.stdout


def test_option_replaces_environment(project):
    done = hpo(project, "check", "--study", "curve", "--studies", "tuning", env={"HPO_STUDIES": ""})
    assert done.returncode == 0
    assert hpo(project.parent, "check", "--study", "own/tuning/curve.toml").returncode == 0


def slow_study(folder):
    """Adds a study whose trainings take some time and say which epochs they trained; returns the command for it."""
    (folder / "trained").mkdir()
    text = (folder / "tuning" / "curve.toml").read_text()
    fixed = f'[fixed]\nnap = 0.2\nflags = "{folder}/trained"\n[search]'
    (folder / "tuning" / "slow.toml").write_text(text.replace('"curve"', '"slow"').replace("[search]", fixed))
    return ["run", "--study", "slow", "--trials", "6"]


@pytest.fixture
def slow(project):
    return slow_study(project)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What the slow study comes to if nothing happens."""
    folder = own_project(tmp_path_factory.mktemp("undisturbed"))
    return facts(hpo(folder, *slow_study(folder), "--backend", "local", "--json").stdout)


def started(project, *arguments):
    """Starts a command and waits until two trials are over."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HPO_STUDIES": "tuning"}
    process = forked.Popen(
        [*COMMAND, *arguments], cwd=project, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    for line in process.stderr:
        if line.startswith("[2/6]"):
            return process
    raise AssertionError("it ended early")


def facts(text):
    return [(t["state"], t["params"], t["value"], t["values"]) for t in json.loads(text)["trials"]]


def trained_twice(project):
    """How many epochs were trained more than once, over all trainings."""
    epochs = [file.read_text().split() for file in (project / "trained").iterdir()]
    return sum(len(one) - len(set(one)) for one in epochs)


@pytest.mark.slow("ray")
@pytest.mark.parametrize(
    ("number", "status", "backend"),
    [
        (signal.SIGINT, 130, "local"),
        pytest.param(signal.SIGINT, 130, "processes", marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, 143, "local", marks=pytest.mark.soak),
        pytest.param(signal.SIGTERM, 143, "ray", marks=[pytest.mark.ray]),
    ],
)
def test_signal_finishes_epochs_and_resumes(project, slow, undisturbed, request, number, status, backend):
    if backend == "ray":
        request.getfixturevalue("at_ray")
    at_once = [] if backend == "local" else ["--concurrency", "2"]
    process = started(project, *slow, "--backend", "ray" if backend == "ray" else "local", *at_once)
    time.sleep(0.1)
    process.send_signal(number)
    _, errors = process.communicate(timeout=400)
    assert process.returncode == status
    assert "Continue with: hpo run --study slow" in errors
    assert "[6/6]" not in errors, "it went on to the end"
    assert "Traceback" not in errors
    assert facts(hpo(project, *slow, "--backend", "local", "--json").stdout) == undisturbed
    assert trained_twice(project) == 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGHUP, marks=pytest.mark.soak)])
def test_dead_driver_is_taken_over(project, slow, undisturbed, number):
    process = started(project, *slow, "--backend", "local")
    process.send_signal(signal.SIGSTOP)  # or it might be at its end before the other one looks
    busy = hpo(project, *slow, "--backend", "local")
    process.send_signal(number)
    process.send_signal(signal.SIGCONT)
    assert busy.returncode == 2
    assert f"pid {process.pid}" in busy.stderr
    process.communicate()
    assert facts(hpo(project, *slow, "--backend", "local", "--json").stdout) == undisturbed
    assert trained_twice(project) <= 1, "the epoch in flight, and no other"


@pytest.mark.slow
def test_second_signal_ends_at_once(project, slow, undisturbed):
    process = started(project, *slow, "--backend", "local")
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert process.returncode in (130, -signal.SIGINT)
    assert facts(hpo(project, *slow, "--backend", "local", "--json").stdout) == undisturbed


def test_all_failed_search_exits_1(project):
    text = (project / "tuning" / "curve.toml").read_text()
    bad = text.replace('"curve"', '"bad"').replace("[search]", '[fixed]\nfault = "raise"\n[search]')
    (project / "tuning" / "bad.toml").write_text(bad)
    done = hpo(project, "run", "--study", "bad", "--backend", "local", "--trials", "2")
    assert done.returncode == 1
    assert "No trial has completed" in done.stdout
    ended = hpo(project, "run", "--study", "bad", "--backend", "local")
    assert ended.returncode == 1
    assert "5 trainings in a row failed" in ended.stderr
    assert "ValueError: the user's own mistake" in ended.stderr
    assert "hpo/training" not in ended.stderr


def test_closed_pipe_is_no_error(project):
    done = subprocess.run(
        f"{' '.join(map(repr, COMMAND))} studies --json | head -c 1",
        shell=True,
        cwd=project,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HPO_STUDIES": "tuning"},
        check=False,
    )
    assert "Traceback" not in done.stderr


def test_help_imports_little():
    """Its seconds would depend on what else the machine does."""
    heavy = [
        "alembic",
        "fastapi",
        "hpo.api",
        "importlib.metadata",
        "matplotlib",
        "numpy",
        "optuna",
        "packaging",
        "pandas",
    ]
    heavy += ["plotly", "pydantic", "ray", "sqlalchemy", "torch"]
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: print(len(sys.modules), *(one for one in sys.argv[2:] if one in sys.modules)))\n"
        "from hpo.cli.main import app\n"
        "app(['--help'])"
    )
    done = subprocess.run([sys.executable, "-c", code, "--help", *heavy], capture_output=True, text=True, check=True)
    assert "Usage" in done.stdout
    count, *found = done.stdout.splitlines()[-1].split()
    assert (found, int(count) < 370) == ([], True), count
