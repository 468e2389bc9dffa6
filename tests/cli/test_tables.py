"""The tables of a database, ours and Optuna's: made in one step, repaired, and never added to what is not ours."""

from __future__ import annotations

import multiprocessing
import re
import sqlite3
from contextlib import contextmanager

import optuna
import pytest
import sqlalchemy as sa
from kills import kill_at_statements, make, surveyed
from optuna.storages._rdb import models

from hpo.core.errors import StorageUnavailable
from hpo.core.records import Objective
from hpo.driver.storage import storage
from hpo.store import Store, normalize_url, prepare_optuna
from hpo.store.optuna_storage.studies import OptunaStudies
from hpo.store.optuna_storage.tables import OPTUNA
from hpo.store.survey import OPTUNA_TABLES


def test_killed_table_creation_is_atomic(storage_url):
    kill_at_statements(storage_url, 9)


def test_many_commands_create_one_database(storage_url):
    context = multiprocessing.get_context("fork")
    gate = context.Barrier(4)

    def begin():
        gate.wait()
        with storage(storage_url, create=True, writes=True) as (store, durable):
            assert store.names() == []
            durable.open("one", Objective(metric="value"), {})

    processes = [context.Process(target=begin) for _ in range(4)]
    [process.start() for process in processes]
    [process.join(60) for process in processes]
    assert [process.exitcode for process in processes] == [0] * 4
    with storage(storage_url, writes=True) as (_, durable):
        assert optuna.get_all_study_names(durable.storage) == ["one"]
    assert surveyed(storage_url).lacking == ()


@contextmanager
def engine_of(url):
    engine = sa.create_engine(normalize_url(url))
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def without_the_index_of_names(url, studies):
    """Leaves what an earlier version left where it was killed while it made the tables."""
    make(url)
    with engine_of(url) as connection:
        connection.execute(sa.text("DROP INDEX ix_studies_study_name"))
        for one in studies:
            row = models.StudyModel.__table__.insert().values(study_name=one).returning(models.StudyModel.study_id)
            study = connection.execute(row).scalar_one()
            direction = models.StudyDirectionModel.__table__.insert()
            connection.execute(direction.values(direction="MAXIMIZE", study_id=study, objective=0))


def test_missing_index_is_repaired(storage_url):
    without_the_index_of_names(storage_url, ["s", "s", "other", "s"])
    with engine_of(storage_url) as connection:
        attribute = models.StudyUserAttributeModel.__table__.insert()
        connection.execute(attribute.values(study_id=2, key="hpo:uid", value_json='"x"'))
    assert surveyed(storage_url).lacking == ("ix_studies_study_name",)
    with storage(storage_url, writes=True) as (_, durable):
        assert sorted(optuna.get_all_study_names(durable.storage)) == ["other", "s"]
        assert optuna.load_study(study_name="s", storage=durable.storage).user_attrs == {"hpo:uid": "x"}
    assert surveyed(storage_url).lacking == ()


def test_duplicate_study_names_are_reported(storage_url):
    without_the_index_of_names(storage_url, ["s", "s"])
    with engine_of(storage_url) as connection:
        for study in (1, 2):
            attribute = models.StudyUserAttributeModel.__table__.insert()
            connection.execute(attribute.values(study_id=study, key="hpo:uid", value_json='"x"'))
    with (
        pytest.raises(StorageUnavailable, match=r"hold study 's' 2 times \(study_id 1 and 2\)"),
        storage(storage_url, writes=True),
    ):
        pass
    with (
        pytest.raises(StorageUnavailable, match="hold study 's' 2 times, because an index is missing"),
        storage(storage_url) as (_, durable),
    ):
        durable.find("s")


def test_optuna_table_names_are_known():
    assert OPTUNA.metadata.tables.keys() | {"alembic_version"} == OPTUNA_TABLES


def test_our_tables_match_optuna(tmp_path):
    ours, theirs = tmp_path / "ours.db", tmp_path / "theirs.db"
    OptunaStudies(f"sqlite:///{ours}", prepare_optuna).close()
    optuna.storages.RDBStorage(f"sqlite:///{theirs}")
    shapes = []
    for path in (ours, theirs):
        connection = sqlite3.connect(path)
        shapes.append(sorted(connection.execute("SELECT type, name, sql FROM sqlite_master")))
        shapes[-1] += connection.execute("SELECT * FROM version_info").fetchall()
        shapes[-1] += connection.execute("SELECT * FROM alembic_version").fetchall()
        connection.close()
    assert shapes[0] == shapes[1]


def test_other_optuna_schema_is_refused(tmp_path):
    url = f"sqlite:///{tmp_path / 'old.db'}"
    Store(url).close()
    OptunaStudies(url, prepare_optuna).close()
    with engine_of(url) as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = 'v2.6.0.a'"))
        connection.execute(sa.text("DROP INDEX ix_trials_study_id"))
    with pytest.raises(StorageUnavailable, match="Optuna cannot use this storage"):
        make(url)
    assert surveyed(url).lacking == ("ix_trials_study_id",)


# What is not ours.


def plain_optuna(path):
    study = optuna.create_study(storage=f"sqlite:///{path}", study_name="theirs")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    study._storage.remove_session()


def another_program(path):
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (a)")
    connection.commit()
    connection.close()


def another_program_in_wal(path):
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE t (a)")
    connection.commit()
    connection.close()


@pytest.mark.parametrize("kind", [plain_optuna, another_program, another_program_in_wal, lambda path: path.touch()])
def test_reading_changes_no_foreign_file(tmp_path, kind):
    path = tmp_path / "theirs.db"
    kind(path)
    before, stamp = path.read_bytes(), path.stat().st_mtime_ns
    for writes in (False, True):
        with (
            pytest.raises(StorageUnavailable, match="holds no studies of hpo"),
            storage(f"sqlite:///{path}", writes=writes),
        ):
            pass
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (before, stamp)
    assert [one.name for one in tmp_path.iterdir()] == ["theirs.db"]


@pytest.mark.parametrize("kind", [another_program, another_program_in_wal])
def test_foreign_file_gets_no_tables(tmp_path, kind):
    path = tmp_path / "theirs.db"
    kind(path)
    before = path.read_bytes()
    with pytest.raises(StorageUnavailable, match="belongs to another program"):
        make(f"sqlite:///{path}")
    assert path.read_bytes() == before


def test_optuna_database_gets_our_tables(storage_url):
    OptunaStudies(normalize_url(storage_url), prepare_optuna).close()
    with storage(storage_url, create=True, writes=True) as (store, _):
        assert store.found == "optuna"
    assert surveyed(storage_url).tables == "current"


@pytest.mark.postgres
@pytest.mark.parametrize(("table", "taken"), [("theirs", False), ("studies", True)])
def test_shared_postgres(postgres_url, table, taken):
    with engine_of(postgres_url) as connection:
        connection.execute(sa.text(f"CREATE TABLE {table} (a INTEGER)"))
        connection.execute(sa.text("CREATE TABLE more (a INTEGER)"))
    if taken:
        with pytest.raises(StorageUnavailable, match=r"tables with names that hpo needs \(studies\)"):
            make(postgres_url)
    else:
        make(postgres_url)
        assert surveyed(postgres_url).tables == "current"


def test_reading_connection_cannot_write(storage_url):
    make(storage_url)
    with storage(storage_url) as (store, durable):
        with pytest.raises(Exception) as caught:  # noqa: PT011  Optuna's, or ours for SQLite's
            durable.open("one", Objective(metric="value"), {})
        assert re.search(r"readonly|read-only", f"{caught.value} {caught.value.__cause__}")
        with pytest.raises(Exception, match=r"readonly|read-only"), store._engine.begin() as connection:
            connection.execute(sa.text("DELETE FROM hpo_studies"))
        assert store.names() == []
