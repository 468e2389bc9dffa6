"""One study, one table: whatever the number of workers, the timing, the backend, and however often drivers are killed.

The full matrix is in tests/soak.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import forked
import pytest
from parallel import in_a_loop, napping, on_ray

pytestmark = [pytest.mark.ray]
ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("pruner", ["median", pytest.param("hyperband", marks=pytest.mark.soak)])
def test_four_ray_workers_match_local(tmp_path, curve, ray_slots, pruner):
    study = napping(curve, pruner)
    parallel = on_ray(study, tmp_path / "ray", 4)
    assert parallel == in_a_loop(study, tmp_path / "loop")
    assert "pruned" in {row[1] for row in parallel}


@pytest.mark.soak
def test_two_ray_workers_match_local(tmp_path, curve, ray_slots):
    study = napping(curve, "median")
    assert on_ray(study, tmp_path / "ray", 2) == in_a_loop(study, tmp_path / "loop")


@pytest.mark.soak
def test_no_lag_depends_on_timing(tmp_path, curve, ray_slots):
    """The control: durations differ so much that a search without the rules soon gives another table."""
    study = napping(curve, "median", lag=False)
    first = on_ray(study, tmp_path / "0", 4)
    assert any(on_ray(study, tmp_path / str(run), 4) != first for run in range(1, 8))


@pytest.fixture
def killed(tmp_path, at_ray):
    """Returns a function that runs a study file by the command line and kills its driver after so many results."""

    def finished(database):
        if not database.exists():
            return 0
        try:
            with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
                return connection.execute("SELECT count(*) FROM hpo_evaluations").fetchone()[0]
        except sqlite3.OperationalError:  # the tables are being made
            return 0

    def run(study, after):
        database = tmp_path / "hpo.db"
        command = [sys.executable, "-c", "from hpo.cli import main; main()", "run", "--study", str(study)]
        command += ["--storage", f"sqlite:///{database}", "--outputs", str(tmp_path / "outputs")]
        command += ["--concurrency", "4"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        log = (tmp_path / "stderr").open("a")
        process = forked.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=log)
        limit = time.monotonic() + 400
        while process.poll() is None and (after is None or finished(database) < after):
            assert time.monotonic() < limit, "the driver took too long"
            time.sleep(0.02)
        if after is not None:
            assert process.poll() is None, (tmp_path / "stderr").read_text()
        process.kill() if after is not None else process.wait()
        process.wait()
        log.close()
        return finished(database)

    return run


@pytest.mark.slow
@pytest.mark.timeout(1300)
def test_killed_drivers_leave_same_table(tmp_path, curve, killed):
    from searches import table

    from hpo.store import prepare_optuna
    from hpo.store.optuna_storage.studies import OptunaStudies

    study = napping(curve, "hyperband", trials=18)
    project = tmp_path / "project"
    (project / "studies").mkdir(parents=True)
    (project / "toys").symlink_to(study.root / "toys")
    text = (study.root / "studies" / "curve.toml").read_text()
    text = text.replace("lag    = 4", 'lag = 6\npruner = "hyperband"').replace("trials = 20", "trials = 18")
    (project / "studies" / "curve.toml").write_text(text + "\n[fixed]\nnap = 0.12\n")
    first = killed(project / "studies" / "curve.toml", after=4)
    second = killed(project / "studies" / "curve.toml", after=10)
    assert 4 <= first < 10 <= second < 18
    assert killed(project / "studies" / "curve.toml", after=None) == 18
    durable = OptunaStudies(f"sqlite:///{tmp_path / 'hpo.db'}", prepare_optuna)
    found = table(durable, study)
    durable.close()
    assert found == in_a_loop(study, tmp_path / "loop"), (tmp_path / "stderr").read_text()
