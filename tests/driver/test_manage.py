"""Whole studies: deleted, renamed, copied, on both databases."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import optuna
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

import hpo
from hpo import api
from hpo.cli.main import app
from hpo.core.errors import StudyBusy, StudyChanged, UsageError
from hpo.driver.resources import work_folder
from hpo.driver.storage import storage
from hpo.store import normalize_url

ON_SQLITE = pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)

FEW = {"trials": 4, "budget": 2}
TOP = {"top": 1}


@pytest.fixture
def config(request, tmp_path, storage_url):
    """An empty place; on SQLite, for a test of the promoted study, the place where that was promoted once."""
    if "promoted" in request.fixturenames and storage_url.startswith("sqlite"):
        request.getfixturevalue("promoted_once")
        return request.getfixturevalue("restored_config")
    return hpo.RunConfig(storage=storage_url, outputs=tmp_path / "outputs", backend="local")


@pytest.fixture(scope="module")
def study(curve):
    return curve(search=FEW, promotion=TOP)


def promote(study, config):
    hpo.run(study, config)
    hpo.promote(study, config)
    hpo.run(study.model_copy(update={"name": "other"}), config)


@pytest.fixture(scope="module")
def promoted_once(study, module_config):
    promote(study, module_config)


@pytest.fixture
def promoted(study, config, storage_url):
    """A promoted study, beside another study that must not change."""
    if not storage_url.startswith("sqlite"):
        promote(study, config)
    return study


def everything(config, name):
    """The trials and records of a study, and its newest promotion."""
    with storage(config.storage) as (store, durable):
        stored, found = store.find(name), durable.find(name)
        trials = [replace(one, started=None, ended=None) for one in found.trials()]
        return trials, store.evaluations(stored), store.promotion(stored)


def rows(config):
    """Returns the number of rows in each table that belong to a study."""
    engine = sa.create_engine(normalize_url(config.storage))
    with engine.connect() as connection:
        names = [name for name in sa.inspect(connection).get_table_names() if "version" not in name]
        counts = {name: connection.execute(sa.text(f"SELECT count(*) FROM {name}")).scalar_one() for name in names}
    engine.dispose()
    return counts


@pytest.mark.slow
def test_delete_leaves_no_row(curve, study, config):
    hpo.run(study.model_copy(update={"name": "other"}), config)
    before, other = rows(config), everything(config, "other")
    hpo.run(study, config)
    hpo.promote(study, config)
    assert rows(config) != before
    found = api.delete("curve", config)
    assert (found.trials, found.evaluations, found.folders) == (4, 7, ())
    assert rows(config) == before
    assert everything(config, "other") == other
    assert sorted(path.name for path in (config.outputs / "curve").glob("results_*")) == [
        "results_7",
        "results_8",
        "results_9",
    ]
    hpo.run(study, config)  # the name is free
    assert everything(config, "curve")[2] is None


@ON_SQLITE
def test_delete_files_only_on_request(promoted, config):
    with storage(config.storage) as (store, _):
        work = work_folder(store.find("curve"), config)
    (config.outputs / "curve" / "mine.txt").touch()
    assert os.path.isdir(work)
    found = api.delete("curve", config, checkpoints=True, results=True)
    assert set(map(str, found.folders)) == {work, str(config.outputs / "curve")}
    assert not os.path.exists(work)
    assert not (config.outputs / "curve").exists()


def test_delete_after_optuna_deleted_trials(promoted, config):
    with storage(config.storage, writes=True) as (_, durable):
        optuna.delete_study(study_name="curve", storage=durable.storage)
    with pytest.raises(StudyChanged, match="hpo delete --study curve"):
        hpo.run(promoted, config)
    with pytest.raises(StudyChanged, match="nothing can be copied"):
        api.copy("curve", "second", config)
    assert api.delete("curve", config).trials == 0
    hpo.run(promoted, config)


@ON_SQLITE
@pytest.mark.parametrize("change", ["delete", "rename", "copy"])
def test_driven_study_is_untouched(promoted, config, change):
    act = {
        "delete": lambda: api.delete("curve", config, checkpoints=True, results=True),
        "rename": lambda: api.rename("curve", "second", config),
        "copy": lambda: api.copy("curve", "second", config),
    }[change]
    before = everything(config, "curve")
    with storage(config.storage, writes=True) as (store, _):
        lease = store.lease(store.find("curve"), "run")
        with pytest.raises(StudyBusy, match="is driven by host"):
            act()
        lease.release()
    assert everything(config, "curve") == before
    assert (config.outputs / "curve" / "results_7").is_dir()


@pytest.mark.slow
def test_renamed_study_continues(promoted, config):
    before = everything(config, "curve")
    api.pause("curve", config)
    found = api.rename("curve", "second", config)
    assert (found.study, found.folders) == ("second", (config.outputs / "second",))
    assert everything(config, "second") == before
    with pytest.raises(UsageError, match="no study named 'curve'"):
        api.status("curve", config)
    api.resume("second", config)
    second = promoted.model_copy(update={"name": "second"})
    [row] = api.status("second", config)
    assert row.results == ("results_7", "results_8", "results_9")
    trained = hpo.promote(second, config)
    assert trained.trained == 0, "its records are known, and its files are found"
    assert [path.name for path in trained.results] == ["results_7", "results_8", "results_9"]
    with storage(config.storage) as (store, _):
        work = work_folder(store.find("second"), config)
    assert os.path.isdir(work)
    assert "/curve-" in work, "the records lead there"
    assert hpo.run(second, config, trials=5).own == 5
    assert len([one for one in os.listdir(config.work_root) if one.startswith(("curve-", "second-"))]) == 1


@ON_SQLITE
def test_interrupted_rename_is_finished(promoted, config):
    api.rename("curve", "second", config)
    (config.outputs / "second").rename(config.outputs / "curve")  # as if it had been killed before that
    assert api.rename("curve", "second", config).folders == (config.outputs / "second",)
    assert (config.outputs / "second" / "results_7").is_dir()


@pytest.mark.slow
def test_copy_is_independent(promoted, config):
    before = everything(config, "curve")
    found = api.copy("curve", "second", config)
    assert (found.trials, found.evaluations) == (4, 7)
    trials, evaluations, promotion = everything(config, "second")
    assert (trials, evaluations, promotion) == (*before[:2], None)
    second = promoted.model_copy(update={"name": "second"})
    outcome = hpo.promote(second, config)
    assert outcome.trained == 0
    assert (config.outputs / "second" / "results_7").is_dir()
    grown = hpo.run(second, config, trials=6)
    same = hpo.run(promoted.model_copy(update={"name": "curve"}), config, trials=6)
    assert [one.params for one in grown.trials] == [one.params for one in same.trials]
    api.delete("curve", config)
    assert len(everything(config, "second")[0]) == 6


@ON_SQLITE
@pytest.mark.parametrize(
    ("new", "message"),
    [("other", "already has a study named"), ("Not OK", "cannot be named"), ("", "cannot be")],
)
def test_unusable_name_is_refused(promoted, config, new, message):
    for change in (api.rename, api.copy):
        with pytest.raises(UsageError, match=message):
            change("curve", new, config)
    assert len(everything(config, "curve")[0]) == 4


@ON_SQLITE
def test_name_of_optuna_study_is_refused(promoted, config):
    with storage(config.storage, writes=True) as (_, durable):
        optuna.create_study(study_name="theirs", storage=durable.storage)
    for change in (api.rename, api.copy):
        with pytest.raises(UsageError, match="Optuna's tables"):
            change("curve", "theirs", config)


@pytest.mark.slow
def test_killed_change_is_atomic(promoted, config):
    before, counts = everything(config, "curve"), rows(config)

    def die(number, change):
        seen = 0

        def count(_c, _u, statement, *_):
            nonlocal seen
            of_lease = "hpo_leases" in statement or "hpo_drivers" in statement
            seen += statement.startswith(("INSERT", "UPDATE", "DELETE")) and not of_lease
            if seen == number:
                os.kill(os.getpid(), signal.SIGKILL)

        sa.event.listen(sa.Engine, "before_cursor_execute", count)
        change()

    for change in (
        lambda: api.copy("curve", "second", config),
        lambda: api.rename("curve", "second", config),
        lambda: api.delete("curve", config),
    ):
        for number in (1, 2, 6, 10):
            pid = os.fork()
            if pid == 0:
                die(number, change)
                os._exit(0)
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            if status == 0:  # there are not so many statements
                break
            assert {**rows(config), "hpo_drivers": 0} == {**counts, "hpo_drivers": 0}
            assert everything(config, "curve") == before
        if status == 0:  # the study has another name now
            api.rename("second", "curve", config)
            counts = rows(config)
            before = everything(config, "curve")


@ON_SQLITE
def test_delete_asks_first(promoted, config):
    runner = CliRunner()
    arguments = ["delete", "--study", "curve", "--storage", config.storage, "--outputs", str(config.outputs)]
    for answer in ("n\n", ""):
        done = runner.invoke(app, arguments, input=answer)
        assert done.exit_code == 1
        assert "Delete study curve with 4 trials and 7 recorded trainings for good?" in done.stderr
    assert len(everything(config, "curve")[0]) == 4
    assert "curve is deleted" in runner.invoke(app, arguments, input="y\n").stdout
    arguments[2] = "other"
    assert runner.invoke(app, [*arguments, "--yes"]).exit_code == 0
    with pytest.raises(UsageError, match="no study named 'other'"):
        api.status("other", config)
