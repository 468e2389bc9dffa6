"""Everything dies at random moments, and the study ends as if nothing had happened.

`make soak` runs the long form; HPO_SOAK_SEED repeats one, HPO_SOAK_KILLS says how many kills of each.
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import sys
from collections import Counter

import pytest

from hpo.core.records import Stage
from hpo.driver.storage import storage
from hpo.study.loading import read
from tests.soak.reaper import Reaper

KILLS = int(os.environ.get("HPO_SOAK_KILLS", "40"))


@pytest.fixture
def draw():
    seed = int(os.environ.get("HPO_SOAK_SEED", random.SystemRandom().randrange(10**6)))
    sys.stderr.write(f"\nHPO_SOAK_SEED={seed}\n")  # shown when the test fails
    return random.Random(seed)


def outcome(reaper):
    """All that a study came to: the trials, the evaluations, the promotion."""
    study = read(reaper.folder / "studies" / "soak.toml").study
    with storage(reaper.storage, create=False) as (store, durable):
        found = durable.find(study.name)
        trials = [(t.number, t.state, t.params, t.value, t.values) for t in found.trials()]
        evaluations = store.evaluations(store.find(study.name))
    keys = Counter(one.job.key for one in evaluations)
    assert set(keys.values()) == {1}, "every evaluation exactly once"
    stages = Counter(one.job.stage for one in evaluations)
    assert (stages[Stage.SEARCH], stages[Stage.PROMOTION]) == (reaper.trials, 9)
    assert {state for _, state, *_ in trials} <= {"complete", "pruned"}, "none is left running"
    folder = reaper.folder / "outputs" / "soak"
    promotion = json.loads((folder / "promotion.json").read_text())
    # Which process trained is a metric of the toy's, and the only thing that may differ.
    promotion["metrics"] = [row for row in promotion["metrics"] if row["metric"] != "pid"]
    assert promotion["estimate"].pop("block"), "a hash of the study's id too"
    assert sorted(path.name for path in folder.glob("results_*")) == ["results_7", "results_8", "results_9"]
    assert not list((reaper.folder / "outputs" / ".work").rglob("*.pt")), "no checkpoint is left behind"
    told = [(one.job.key, one.status, one.value, one.step, dict(one.digests)) for one in evaluations]
    return trials, told, (folder / "promotion.csv").read_text(), promotion


def disturbed(tmp_path, draw, backend, kills, postgres=None, trials=12, nap=0.3):
    """Kills so many times, over as many studies as that takes, and compares each with the undisturbed one."""
    calm = Reaper(tmp_path / "calm", f"sqlite:///{tmp_path / 'calm' / 'hpo.db'}", "local", trials, 0.0, draw)
    calm.run(most=0)
    expected = outcome(calm)
    total, repeated, left, number = Counter(), 0, kills, 0
    while left:
        number += 1
        folder = tmp_path / f"round-{number}"
        url = postgres.fresh_url() if postgres else f"sqlite:///{folder / 'hpo.db'}"
        reaper = Reaper(folder, url, backend, trials, nap, draw, postgres)
        left = reaper.run(left)
        assert outcome(reaper) == expected
        slots = 2 if backend == "ray" else 1
        assert reaper.trained_twice() <= slots * reaper.kills.total(), "more than the epochs in flight was repeated"
        total, repeated = total + reaper.kills, repeated + reaper.trained_twice()
        if not postgres:
            with sqlite3.connect(folder / "hpo.db") as connection:
                assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    told = ", ".join(f"{count} x {what}" for what, count in sorted(total.items()))
    sys.stderr.write(f"{backend}, {number} studies, {repeated} epochs repeated: {told}\n")


@pytest.mark.soak  # the other short one has all of this and a server
def test_short_soak_loses_nothing(tmp_path, draw):
    disturbed(tmp_path, draw, "local", kills=3, trials=6)


@pytest.mark.slow
@pytest.mark.postgres
def test_short_soak_with_dying_server(tmp_path, draw, mortal_postgres):
    disturbed(tmp_path, draw, "local", kills=2, trials=4, postgres=mortal_postgres)


@pytest.mark.soak
@pytest.mark.parametrize("backend", ["local", pytest.param("ray", marks=pytest.mark.ray)])
def test_at_length_on_sqlite(tmp_path, draw, backend):
    disturbed(tmp_path, draw, backend, KILLS)


@pytest.mark.soak
@pytest.mark.postgres
@pytest.mark.parametrize("backend", ["local", pytest.param("ray", marks=pytest.mark.ray)])
def test_at_length_on_postgres(tmp_path, draw, mortal_postgres, backend):
    disturbed(tmp_path, draw, backend, KILLS, mortal_postgres)
