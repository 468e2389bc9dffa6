"""Killed at every statement that makes tables, and at every file of a promotion; then done again as if nothing was."""

from __future__ import annotations

import json
import shutil
import signal
import sys
from functools import partial

import pytest
from kills import dies_at_file, forked, kill_at_statements

import hpo
from hpo.driver.storage import storage

pytestmark = pytest.mark.soak


def test_kill_at_every_statement(storage_url):
    sys.stderr.write(f"killed at {kill_at_statements(storage_url, 1)} statements that make tables\n")


def outcome(config, folder):
    """What a promotion leaves, without what tells when and by which process."""
    table = json.loads((folder / "promotion.json").read_text())
    table["metrics"] = [row for row in table["metrics"] if row["metric"] != "pid"]
    with storage(config.storage) as (store, _):
        stored = store.promotion(store.find("curve"))
    results = {path.name: sorted(one.name for one in path.rglob("*")) for path in folder.glob("results_*")}
    return table, (folder / "promotion.csv").read_text(), stored, results, sorted(one.name for one in folder.iterdir())


def test_kill_at_every_file(curve, tmp_path, storage_url):
    config = hpo.RunConfig(storage=storage_url, outputs=tmp_path / "outputs", backend="local")
    study = curve(search={"trials": 6}, promotion={"top": 2})
    hpo.run(study, config)
    hpo.promote(study, config)
    folder = config.outputs / "curve"
    calm = outcome(config, folder)
    number = killed = 0
    while True:
        number += 1
        shutil.rmtree(folder)
        status = forked(partial(dies_at_file, number, folder, lambda: hpo.promote(study, config)))
        if status == 0:
            break
        assert status == -signal.SIGKILL
        killed += 1
        assert hpo.promote(study, config).trained == 0
        assert outcome(config, folder) == calm, f"killed at {number}"
    assert killed >= 16, "before and after each of three results and five files"
    sys.stderr.write(f"killed {killed} times at files of a promotion\n")
