"""When a search ends, and why."""

from __future__ import annotations

import random
import sys
import threading
from pathlib import Path

import forked
import pytest
from searches import in_random_order, one_by_one, open_source, table

import hpo
from hpo import api
from hpo.cli.main import _promotion_status, _search_status
from hpo.core.errors import UsageError
from hpo.core.options import seconds_of
from hpo.core.protocols import Observer
from hpo.promotion.shown import promotion_text
from hpo.search.shown import search_text
from hpo.store import prepare_optuna
from hpo.store.optuna_storage.studies import OptunaStudies

PROJECT = Path(__file__).parents[1] / "project"
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("1d", 86400), ("1h30m", 5400), ("0.5m", 30)]
)
def test_durations_are_parsed(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "90", "-1s", "1m1h", "0s", "two hours", "1 h"])
def test_invalid_durations_are_refused(text):
    with pytest.raises(ValueError, match="expected a length of time such as 90s"):
        seconds_of(text)


@pytest.mark.slow
@pytest.mark.parametrize("search", [{"until": 1.6}, {"patience": 4}])
def test_end_with_lag_is_reproducible(tmp_path, curve, search):
    study = curve(search={"lag": 4, "trials": 100, **search})
    tables = []
    for run in range(4):
        durable = OptunaStudies(f"sqlite:///{tmp_path / f'{run}.db'}", prepare_optuna)
        source = open_source(durable, study, 100)
        in_random_order(source, 1 + run, random.Random(run))
        tables.append(table(durable, study))
        assert not source.has_work
        assert source.ended
        again = open_source(durable, study, 100)
        assert (again.has_work, again.ended) == (False, source.ended)
        durable.close()
    assert all(other == tables[0] for other in tables)
    assert 4 < len(tables[0]) < 100


def test_target_follows_the_direction(tmp_path, curve):
    for direction, until in (("maximize", 0.6), ("minimize", 0.35)):
        study = curve(search={"lag": 1, "pruner": "none", "until": until}, objective={"direction": direction})
        durable = OptunaStudies(f"sqlite:///{tmp_path / direction}.db", prepare_optuna)
        source = open_source(durable, study, 60)
        one_by_one(source)
        *before, last = [row[3] for row in table(durable, study)]
        reached = (lambda one: one >= until) if direction == "maximize" else (lambda one: one <= until)  # noqa: B023
        assert reached(last)
        assert not any(map(reached, before))
        assert source.ended == f"trial {len(before)} reached the target {until}"
        durable.close()


def test_patience_counts_from_best_trial(tmp_path, curve):
    study = curve(search={"lag": 1, "pruner": "none", "patience": 5})
    durable = OptunaStudies(f"sqlite:///{tmp_path / 'hpo.db'}", prepare_optuna)
    source = open_source(durable, study, 100)
    one_by_one(source)
    values = [row[3] for row in table(durable, study)]
    assert values.index(max(values)) == len(values) - 6
    assert source.ended == "5 trials in a row without improvement"
    durable.close()


@pytest.mark.slow
def test_time_limit_leaves_trials_resumable(curve, config):
    study = curve(
        space={"x": {"float": [0.0, 1.0]}}, fixed={"nap": 0.1}, search={"trials": 30, "pruner": "none", "budget": 100}
    )
    first = api.run(study, config, seconds=3.0)  # of which making the database takes a part; a training takes five
    assert (first.timed_out, first.stopped) == (True, False)
    assert first.count("running") == 1
    assert first.open == (len(first.trials) - 1,)
    assert f"Not over: trial {first.open[0]}" in search_text(first, promotes=False)
    assert _search_status(first) == 1, "0 would say that nothing is left to do"
    assert first.seconds < 10
    second = api.run(study, config, trials=len(first.trials))
    assert (second.timed_out, second.count("running")) == (False, 0)
    assert _search_status(second) == 0
    assert second.ended == f"the study has its {len(first.trials)} trials"


@pytest.mark.slow
def test_promotion_names_open_trials(curve, config):
    class AtTheSecond(Observer, threading.Event):
        def reported(self, job, step, value):
            if job.trial == 1:
                self.set()

    study, stop = curve(search={"trials": 2, "pruner": "none"}), AtTheSecond()
    assert api.run(study, config, observers=[stop], stop=stop).open == (1,)
    without = api.promote(study, config)
    assert without.open == (1,)
    assert "Left out: trial 1, whose search training is not over" in promotion_text(without)
    assert _promotion_status(without) == 1
    api.run(study, config)
    assert _promotion_status(api.promote(study, config)) == 0


@pytest.mark.parametrize("wrong", [{"seconds": 0}, {"until": float("nan")}, {"patience": 0}])
def test_invalid_limits_are_refused_first(curve, config, wrong):
    with pytest.raises(UsageError, match="must be"):
        hpo.run(curve(), config, **wrong)
    assert not config.outputs.exists()


@pytest.mark.slow
def test_command_shows_why_search_ended(tmp_path):
    def run(*more):
        command = [sys.executable, "-c", "from hpo.cli import main; main()", "run", "--backend", "local", *more]
        command += ["--study", str(PROJECT / "studies" / "curve.toml"), "--outputs", str(tmp_path / "o")]
        command += ["--storage", f"sqlite:///{tmp_path / 'hpo.db'}"]
        environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
        return forked.run(command, env=environment, capture_output=True, text=True, check=False)

    done = run("--patience", "3", "--time", "1h")
    assert (done.returncode, "3 trials in a row without improvement" in done.stdout) == (0, True), done.stderr
    wrong = run("--time", "soon")
    assert (wrong.returncode, "expected a length of time" in wrong.stderr) == (2, True)
    assert "Traceback" not in wrong.stderr
    in_no_time = run("--time", "0.001s", "--patience", "50")
    assert in_no_time.returncode == 0
    assert "Its time was up" in in_no_time.stdout
