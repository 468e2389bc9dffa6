"""Failed trials that are trained again: all of them when it is asked for, or those that one mistake made fail."""

from __future__ import annotations

import uuid

import pytest

import hpo
from hpo import api
from hpo.core.errors import TooManyFailures
from hpo.driver.storage import storage
from hpo.store.optuna_storage.retrying import failed_together
from hpo.study import Trial

CODE = """
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from hpo import Context, Metrics
HERE = Path(__file__).parent
@dataclass(frozen=True)
class P:
    x: float
def train(p: P, ctx: Context) -> Iterator[Metrics]:
    fault = (HERE / "fault").read_text()
    for epoch in ctx.epochs():
        if fault == "all" or (fault == "high" and p.x > 0.5):
            raise FileNotFoundError(f"no data for {p.x}: data.csv is missing")
        yield {"val": p.x * epoch}
"""


@pytest.fixture
def project(tmp_path):
    """Returns a function that makes a study whose trainings fail as the file `fault` says: none, all, or those of a
    high x.
    """
    module = f"shaky_{uuid.uuid4().hex[:8]}"  # a process imports one module of a name
    (tmp_path / f"{module}.py").write_text(CODE)

    def made(fault, **search):
        (tmp_path / "fault").write_text(fault)
        content = {
            "name": "shaky",
            "trainable": f"{module}:train",
            "objective": {"metric": "val"},
            "space": {"x": {"float": [0.0, 1.0]}},
            "search": {"trials": 6, "budget": 2, "max_failures": 3, "lag": 2, **search},
        }
        return hpo.Study.model_validate(content).located(tmp_path)

    return made


@pytest.fixture
def config(tmp_path, storage_url):
    return hpo.RunConfig(storage=storage_url, outputs=tmp_path / "outputs", backend="local")


class Lines(hpo.Observer):
    def __init__(self):
        self.said = []

    def phase(self, message):
        self.said.append(message)


def told(outcome):
    return [(one.number, one.state, dict(one.params), one.value) for one in outcome.trials]


@pytest.mark.slow
def test_common_failure_is_retried(project, config, tmp_path):
    enqueued = {"enqueue": [{"x": 0.99}, {"x": 0.25}]}
    with pytest.raises(TooManyFailures, match="repeats those that failed with the same error"):
        hpo.run(project("all", **enqueued), config)
    [row] = api.status("shaky", config)
    assert row.counts == {"failed": 3}
    lines = Lines()
    mended = hpo.run(project("none", **enqueued), config, observers=[lines])
    [said] = [one for one in lines.said if "again" in one]
    assert "training 3 failed trials again, which had all failed with: FileNotFoundError: no data for" in said
    calm = hpo.RunConfig(storage=f"sqlite:///{tmp_path / 'calm.db'}", outputs=tmp_path / "calm", backend="local")
    assert told(mended) == told(hpo.run(project("none", **enqueued), calm))
    assert [one.params["x"] for one in mended.trials[:2]] == [0.99, 0.25]
    _, [first] = api.show("shaky", 0, config)
    assert [one for one in first.remarks if one.startswith("attempt 1 failed: FileNotFoundError: no data for 0.99")]


@pytest.mark.slow
def test_single_failures_need_the_option(project, config):
    shaky = project("high", trials=8, max_failures=8)
    before = hpo.run(shaky, config)
    failed = [one.number for one in before.trials if one.state == "failed"]
    assert 0 < len(failed) < 8
    project("none")
    assert told(hpo.run(shaky, config)) == told(before)
    lines = Lines()
    after = hpo.run(shaky, config, retry_failed=True, observers=[lines])
    assert f"training {len(failed)} failed trial{'s' if len(failed) > 1 else ''} again" in "\n".join(lines.said)
    assert [one.state for one in after.trials] == ["complete"] * 8
    assert [one.params for one in after.trials] == [one.params for one in before.trials]
    assert [one.error for one in after.trials] == [None] * 8
    with storage(config.storage) as (store, durable):
        records = store.evaluations(store.find("shaky"))
        assert all(one.values for one in durable.find("shaky").trials())
    assert [bool(one.remarks) for one in records] == [one.number in failed for one in after.trials]
    again = Lines()
    assert told(hpo.run(shaky, config, retry_failed=True, observers=[again])) == told(after)
    assert "no trial has failed" in "\n".join(again.said)


@pytest.mark.slow
def test_second_failure_keeps_first_error(project, config):
    shaky = project("all", trials=1)
    for _ in range(3):
        hpo.run(shaky, config, retry_failed=True)
    trial, [record] = api.show("shaky", 0, config)
    assert trial.state == "failed"
    assert [one.split(":")[0] for one in record.remarks] == ["attempt 1 failed", "attempt 2 failed"]
    assert "data.csv is missing" in record.error


@pytest.mark.slow
def test_retry_is_independent_of_a_stop(project, config, tmp_path):
    shaky = project("high", trials=10, max_failures=10)
    hpo.run(shaky, config)
    project("none")
    second = hpo.RunConfig(storage=f"sqlite:///{tmp_path / 'b.db'}", outputs=tmp_path / "b", backend="local")
    project("high")
    hpo.run(shaky, second)
    project("none")
    whole = hpo.run(shaky, config, retry_failed=True, trials=16)
    hpo.run(shaky, second, retry_failed=True)
    for trials in (12, 14, 16):
        parts = hpo.run(shaky, second, trials=trials)
    assert told(parts) == told(whole)


def trial(number, state, error=None, ended=None):
    ended = f"2026-01-01T00:00:{number if ended is None else ended:02d}"
    return Trial(number=number, state=state, params={}, value=None, values={}, error=error, started=None, ended=ended)


@pytest.mark.parametrize(
    ("trials", "expected"),
    [
        ([], []),
        ([trial(0, "failed", "E: 1")], [0]),
        ([trial(n, "failed", f"Traceback\nE: x = {n}.5e-3") for n in range(2)], [0, 1]),
        ([trial(0, "imported"), trial(1, "failed", "E")], [1]),
        ([trial(0, "complete"), trial(1, "failed", "E"), trial(2, "failed", "E")], []),
        ([trial(0, "complete"), *(trial(n, "failed", "E") for n in (1, 2, 3))], [1, 2, 3]),
        ([trial(0, "complete"), trial(1, "failed", "F"), *(trial(n, "failed", "E") for n in (2, 3))], []),
        ([trial(0, "failed", "F"), trial(1, "failed", "E")], []),
        ([*(trial(n, "failed", "E") for n in (0, 1, 2)), trial(3, "complete")], []),
        ([*(trial(n, "failed", "E", ended=9) for n in (0, 1, 2)), trial(3, "complete", ended=1)], [0, 1, 2]),
    ],
)
def test_equal_failures_in_a_row(trials, expected):
    assert failed_together(trials, 3) == expected
