"""`hpo clean` removes the kept files of a search and what killed commands left, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import hpo
from hpo import api
from hpo.cli.main import app
from hpo.core.errors import StudyBusy, UsageError
from hpo.driver.options import CleanOptions
from hpo.driver.resources import work_folder
from hpo.driver.storage import storage

DRY = CleanOptions(dry_run=True)


@pytest.fixture
def kept(curve, config):
    """A study with kept trials, a result, a foreign folder and a leftover; the leftover is what it returns."""
    hpo.run(curve(search={"trials": 2, "budget": 1}, results={"keep": "all"}), config)
    folder = config.outputs / "curve"
    for name in ("results_7", "trials/9"):
        (folder / name).mkdir()
        (folder / name / "mine.txt").write_text("mine")
    spare = folder / "trials" / ".trial_5.77"
    spare.mkdir()
    (spare / "best_model.pt").write_bytes(b"x" * 1000)
    return spare


def files(config):
    folders = (config.outputs, Path(config.work_root))
    return {str(path) for folder in folders for path in folder.rglob("*") if path.is_file()}


def test_clean_removes_what_it_told_before(config, kept):
    before = files(config)
    [told] = api.clean("curve", config, DRY)
    assert files(config) == before
    [found] = api.clean("curve", config)
    assert found == told
    assert (found.trials, found.trainings, found.leftovers, found.leftovers_bytes) == ((0, 1), 2, (kept,), 1000)
    assert found.size == found.trials_bytes + found.trainings_bytes + 1000
    folder = config.outputs / "curve"
    assert {path for path in files(config) if path.startswith(str(folder))} == {
        str(folder / name / "mine.txt") for name in ("results_7", "trials/9")
    }
    with storage(config.storage) as (store, _):
        stored = store.find("curve")
        assert not list(Path(work_folder(stored, config)).glob("search/*"))
        assert len(store.evaluations(stored)) == 2
    assert api.clean("curve", config)[0].size == 0


def test_driven_study_is_left_alone(config, kept):
    before = files(config)
    with storage(config.storage, writes=True) as (store, _):
        lease = store.lease(store.find("curve"), "run")
        with pytest.raises(StudyBusy):
            api.clean("curve", config)
        [found] = api.clean(config=config)
        lease.release()
    assert "curve" in found.busy
    assert files(config) == before


def test_clean_on_the_command_line(config, kept):
    where = ["--storage", config.storage, "--outputs", str(config.outputs)]
    shown = CliRunner().invoke(app, ["clean", *where, "--dry-run"])
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.startswith("curve: would remove 2 kept trials (")
    assert "1 leftover of killed commands (1 kB)" in shown.stdout
    assert kept.exists()
    shown = CliRunner().invoke(app, ["clean", "--study", "curve", *where, "--json"])
    [found] = json.loads(shown.stdout)
    assert (found["trials"], found["leftovers"]) == ([0, 1], [str(kept)])
    assert not kept.exists()
    assert CliRunner().invoke(app, ["clean", *where]).stdout == "curve: nothing to remove\n"


def test_unknown_study_is_not_cleaned(config, kept):
    with pytest.raises(UsageError, match=r"no study named 'other'.*Stored there: curve"):
        api.clean("other", config)
