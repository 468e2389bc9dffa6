"""Our tables, on SQLite and on Postgres."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import replace

import optuna
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from hpo.core.errors import StorageUnavailable, StudyBusy, StudyChanged
from hpo.core.records import Alert, Evaluation, Job, Objective, Report, Stage, Status
from hpo.core.redaction import masked
from hpo.store import Lease, RecordedSource, Store, StoredPromotion, StoredRank, normalize_url, prepare_optuna
from hpo.store.optuna_storage.studies import OptunaStudies
from hpo.store.schema import HEAD, VERSION_TABLE, alembic_config
from hpo.store.tables import Base


@pytest.fixture
def store(storage_url):
    made = Store(storage_url)
    yield made
    made.close()


def evaluation(trial=0, seed=42, value=0.5, status=Status.COMPLETE, **fields):
    job = Job(trial=trial, params={"x": 0.1, "shape": "late"}, seed=seed, budget=5, stage=Stage.PROMOTION)
    reports = (Report(step=1, metrics={"val": 0.1 + 0.2, "auc": None}, at=12.5),)
    return Evaluation(
        job=job, status=status, value=value, step=1 if value is not None else None, reports=reports, **fields
    )


def test_evaluation_round_trip(store, curve):
    study = store.store_study(curve())
    one = evaluation(digests={"weights": "abc"}, fingerprint={"threads": 1}, files="somewhere", seconds=1.25)
    store.put(study, one)
    assert store.get(study, one.job) == one
    assert store.evaluations(study) == [one]
    assert store.keys(study) == {one.job.key}


def test_alerts_keep_their_epochs(store, curve):
    study = store.store_study(curve())
    early, late = (Alert(kind="exploding", epoch=epoch, message="seen") for epoch in (1, 2))
    one = evaluation(value=None, status=Status.FAILED, remarks=("made good",), last_alerts=(late,))
    one = replace(one, reports=(replace(one.reports[0], alerts=(early,)),))
    store.put(study, one)
    assert store.get(study, one.job) == one
    assert one.alerts == (early, late)


def test_any_content_can_be_stored(store, curve):
    """A training validates its values before; the store does not rely on that."""
    study = store.store_study(curve())
    circle = {}
    circle["again"] = circle
    odd = {"\x00\udcff": float("nan"), "n": 10**5000, "o": object(), "b": b"\x00", "c": circle, "l": [float("inf")]}
    one = evaluation(
        value=None,
        status=Status.FAILED,
        error="a\x00b\ud800" + "x" * 1_000_000,
        fingerprint=odd,
        digests={"w\udcff": "\x00"},
        remarks=("\x00\udcff",),
        files="made/\udcff",
        seconds=math.inf,
    )
    one = replace(one, reports=(Report(step=1, metrics={"v\x00": math.nan, "w\udcff": 1.0}, at=1.0),))
    store.put(study, one)
    found = store.get(study, one.job)
    assert found.error.startswith(r"a\x00b\ud800xxx")
    assert found.remarks == (r"\x00\udcff",)
    assert dict(found.reports[0].metrics) == {r"v\x00": None, r"w\udcff": 1.0}
    assert found.fingerprint["n"] == "a number of over 1000 digits"
    assert store.evaluations(study) == [found]


def test_complete_evaluations_are_final(store, curve):
    study = store.store_study(curve())
    store.put(study, evaluation(value=0.5))
    with pytest.raises(sa.exc.IntegrityError):
        store.put(study, evaluation(value=0.9))
    assert store.get(study, evaluation().job).value == 0.5


def test_failed_evaluations_are_replaced(store, curve):
    study = store.store_study(curve())
    store.put(study, evaluation(value=None, status=Status.FAILED, error="once"))
    store.put(study, evaluation(value=0.7))
    assert [found.value for found in store.evaluations(study)] == [0.7]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_non_finite_values_are_refused(store, curve, value):
    study = store.store_study(curve())
    row = {
        "study_id": study.id,
        "trial": 0,
        "stage": "search",
        "seed": 1,
        "fold": 0,
        "budget": 1,
        "params": "{}",
        "streams": "{}",
        "status": "complete",
        "value": value,
        "reports": "[]",
        "seconds": 0.0,
        "digests": "{}",
        "fingerprint": "{}",
        "attempts": 1,
        "recorded_at": "2026-01-01 00:00:00",
    }
    columns, marks = ", ".join(row), ", ".join(f":{name}" for name in row)
    with pytest.raises(sa.exc.IntegrityError), store._engine.begin() as connection:
        connection.execute(sa.text(f"INSERT INTO hpo_evaluations ({columns}) VALUES ({marks})"), row)


def described(connection):
    """All that the database says about our tables, whatever the order."""
    inspector = sa.inspect(connection)
    questions = ("columns", "indexes", "unique_constraints", "check_constraints", "foreign_keys")
    found = {}
    for name in sorted(one for one in inspector.get_table_names() if one.startswith("hpo_")):
        answers = {one: getattr(inspector, f"get_{one}")(name) for one in questions}
        answers["primary key"] = [inspector.get_pk_constraint(name)]
        found[name] = {key: sorted(map(str, values)) for key, values in answers.items()}
    return found


def test_new_tables_are_the_migrated_ones(store):
    with store._engine.connect() as connection:
        made = described(connection)
        assert set(made) == {*Base.metadata.tables, VERSION_TABLE}
        Base.metadata.drop_all(connection)
        connection.execute(sa.text(f"DROP TABLE {VERSION_TABLE}"))
        connection.commit()
    with store._engine.begin() as connection:
        command.upgrade(alembic_config(connection), "head")
        assert described(connection) == made


def test_migrations_make_the_tables(store):
    with store._engine.begin() as connection:
        Base.metadata.drop_all(connection)
        connection.execute(sa.text(f"DROP TABLE {VERSION_TABLE}"))
        command.upgrade(alembic_config(connection), "head")

    def ours(name, kind, parents):
        return kind != "table" or (name.startswith("hpo_") and name != VERSION_TABLE)

    with store._engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_name": ours, "version_table": VERSION_TABLE})
        assert compare_metadata(context, Base.metadata) == []
        assert context.get_current_revision() == HEAD
        assert ScriptDirectory.from_config(alembic_config(connection)).get_current_head() == HEAD


def test_migrating_spares_optuna_tables(storage_url, curve):
    store = Store(storage_url)
    durable = OptunaStudies(store.url, prepare_optuna)
    durable.open("curve", Objective(metric="value"), {})
    with store._engine.begin() as connection:
        before = {name for name in sa.inspect(connection).get_table_names() if not name.startswith("hpo_")}
        command.downgrade(alembic_config(connection), "base")
        names = set(sa.inspect(connection).get_table_names())
        assert not {name for name in names if name.startswith("hpo_")} - {VERSION_TABLE}
        assert before <= names
        command.upgrade(alembic_config(connection), "head")
        assert connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one().startswith("v")
    assert durable.find("curve") is not None
    durable.close()
    store.close()


def test_variants_are_kept_apart(store, curve):
    study, one = store.store_study(curve()), evaluation()
    other = replace(one, job=replace(one.job, stream_seeds={"split": 7}, variant="split"), value=0.9)
    store.put(study, one)
    store.put(study, other)
    assert (store.get(study, one.job), store.get(study, other.job)) == (one, other)
    assert store.keys(study) == {one.job.key, other.job.key}
    assert store.evaluations(study) == [one, other]


def test_records_without_variants_survive(storage_url, curve):
    store = Store(storage_url)
    study, one = store.store_study(curve()), evaluation(value=0.7)
    store.put(study, one)
    with store._engine.begin() as connection:
        command.downgrade(alembic_config(connection), "0004")
    store.close()
    store = Store(storage_url)
    assert store.evaluations(study) == [one]
    with pytest.raises(sa.exc.IntegrityError):
        store.put(study, replace(one, value=0.1))
    store.close()


def test_changed_study_shows_a_diff(store, curve):
    store.store_study(curve())
    changed = curve(space={"x": {"float": [0.0, 2.0]}, "k": {"int": [1, 5]}})
    with pytest.raises(StudyChanged) as caught:
        store.store_study(changed)
    message = str(caught.value)
    assert "space.x      float 0.0 .. 1.0   ->   float 0.0 .. 2.0" in message
    assert "space.shape" in message
    assert "(absent)" in message
    assert "space.k " not in message


@pytest.mark.parametrize(
    "tables",
    [
        {"search": {"seed": 7}},
        {"search": {"budget": 9}},
        {"search": {"lag": False}},
        {"fixed": {"nap": 0.0}},
        {"objective": {"direction": "minimize"}},
        {"trainable": "toys.curve:train_nan"},
        {"streams": {"split": 1}},
    ],
)
def test_identity_changes_are_refused(store, curve, tables):
    store.store_study(curve())
    with pytest.raises(StudyChanged):
        store.store_study(curve(**tables))


def test_harmless_changes_are_stored(store, curve):
    first = store.store_study(curve())
    grown = curve(search={"trials": 99}, promotion={"top": 7, "lambda": 2.0}, resources={"cpu": 2})
    again = store.store_study(grown)
    assert again.uid == first.uid
    assert again.content["search"]["trials"] == 99


@pytest.mark.parametrize("ddof", [0, 1, "unbiased"])
def test_an_equal_promotion_is_stored_once(store, curve, ddof):
    study = store.store_study(curve())
    rank = StoredRank(trial=3, rank=1, values={"42": 0.5, "43": None}, mean=0.5, sigma=0.0, score=0.5, search_value=0.6)
    lost = StoredRank(trial=1, rank=None, values={}, mean=None, sigma=None, score=None, search_value=None)
    promotion = StoredPromotion(
        rule="mean-std", lambda_=1.0, ddof=ddof, seeds=(42, 43), top=2, results=("results_7",), ranks=(rank, lost)
    )
    store.put_promotion(study, promotion)
    store.put_promotion(study, promotion)
    assert store.promotion(study) == promotion
    with store._engine.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM hpo_promotions")).scalar_one() == 1


def test_one_of_many_drivers_gets_the_lease(store, curve, monkeypatch):
    class Slow(set):
        def add(self, key):
            time.sleep(0.1)  # between the commit and the update in memory, where another thread may read
            super().add(key)

    monkeypatch.setattr(Lease, "_held", Slow())
    study = store.store_study(curve())
    held, refused = [], []

    def take():
        try:
            held.append(store.lease(study, "run"))
        except StudyBusy as error:
            refused.append(str(error))

    threads = [threading.Thread(target=take) for _ in range(6)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert (len(held), len(refused)) == (1, 5)
    assert "is driven by host" in refused[0]
    assert "hpo status --study curve" in refused[0]
    held[0].release()
    store.lease(study, "promote").release()


def test_a_replaced_driver_cannot_write(store, curve):
    study = store.store_study(curve())
    late = Lease(store._engine, study.id, study.name, "run", seconds=0.1)
    late._over.set()  # as when a process is suspended
    time.sleep(0.3)
    newer = store.lease(study, "run")
    assert newer.token == late.token + 1
    with pytest.raises(StudyBusy, match="has taken this study over"):
        store.put(study, evaluation(), late)
    store.put(study, evaluation(), newer)
    late.release()
    assert store.holder(study).alive
    newer.release()
    assert not store.holder(study).alive


def test_recorded_jobs_are_not_trained(store, curve):
    study = store.store_study(curve())
    recorded = evaluation(trial=0, seed=42, value=0.5)
    store.put(study, recorded)
    store.put(study, evaluation(trial=1, seed=42, value=None, status=Status.FAILED, error="once"))
    fresh = evaluation(trial=2, seed=42).job

    told, waiting = [], [recorded.job, evaluation(trial=1, seed=42).job, fresh]

    class Three:
        def ask(self):
            return waiting.pop(0)

        def tell(self, one):
            told.append(one)

    lease = store.lease(study, "promote")
    source = RecordedSource(Three(), store, study, lease)
    assert source.ask().trial == 1, "a replicate that failed is trained again, one that is complete is not"
    assert told == [recorded]
    assert source.ask() == fresh
    lease.release()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:///a.db", "sqlite:///a.db"),
        ("postgresql://u:p@h/n", "postgresql+psycopg://u:p@h/n"),
        ("postgresql+psycopg://u@h/n", "postgresql+psycopg://u@h/n"),
        ("postgres://u@h/n", "postgresql+psycopg://u@h/n"),
    ],
)
def test_postgres_urls_use_psycopg(url, expected):
    assert normalize_url(url) == expected


def test_passwords_are_never_shown():
    assert "s3cret" not in masked("postgresql://user:s3cret@127.0.0.1/x")
    assert "s3cret" not in masked("::not a url s3cret")
    for url in ("postgresql://user:s3cret@127.0.0.1:1/x", "mysql://user:s3cret@h/x", "::s3cret"):
        with pytest.raises(StorageUnavailable) as caught:
            Store(url)
        assert "s3cret" not in str(caught.value)


def test_braces_in_a_url_reach_optuna(tmp_path):
    """RDBStorage formats its URL with the schema version."""
    folder = tmp_path / "{odd}"
    folder.mkdir()
    durable = OptunaStudies(f"sqlite:///{folder / 'hpo.db'}", prepare_optuna)
    durable.open("curve", Objective(metric="value"), {})
    durable.close()
    assert (folder / "hpo.db").exists()


def test_a_waiting_trial_is_taken_once(tmp_path):
    """SQLite's driver begins a transaction at the first write; two that have read the same row would both claim it."""
    url = f"sqlite:///{tmp_path / 'hpo.db'}"
    durable = OptunaStudies(url, prepare_optuna)
    durable.open("curve", Objective(metric="value"), {})
    study = optuna.load_study(study_name="curve", storage=durable._storage)
    for number in range(30):
        study.enqueue_trial({"x": number / 30})
    taken = []

    def take():
        mine = OptunaStudies(url, prepare_optuna)
        other = optuna.load_study(study_name="curve", storage=mine._storage)
        for _ in range(10):
            taken.append(other.ask().number)
        mine.close()

    threads = [threading.Thread(target=take) for _ in range(3)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    durable.close()
    assert sorted(taken) == list(range(30))
