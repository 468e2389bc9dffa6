"""What another Optuna study found: known from the start, counted nowhere, and that study stays as it is."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState, create_trial
from searches import in_random_order, one_by_one, open_source, plain_optuna, table, value
from sqlalchemy import create_engine, text
from sqlalchemy.exc import InternalError
from typer.testing import CliRunner

from hpo import api
from hpo.cli import tables
from hpo.cli.main import app
from hpo.core.errors import StorageDamaged, StorageLost, StorageUnavailable, UsageError
from hpo.core.protocols import Decision
from hpo.core.records import Job, Objective
from hpo.search.imports import Foreign, chosen
from hpo.search.reading import read_source
from hpo.store import prepare_optuna, read_only
from hpo.store.optuna_storage.studies import OptunaStudies

OLD = "what we did before"


def fill(storage, study, *, name=OLD, trials=12, direction="maximize", first=1):
    """Makes a study as anybody makes one with Optuna: the third trial fails, some are pruned, the last one is open.

    Its steps are counted from `first`.
    """
    made = optuna.create_study(
        study_name=name, storage=storage, direction=direction, sampler=optuna.samplers.RandomSampler(seed=3)
    )
    for number in range(trials):
        trial = made.ask()
        params = {"x": trial.suggest_float("x", 0.0, 1.0), "k": trial.suggest_int("k", 1, 5)}
        params["shape"] = trial.suggest_categorical("shape", ["flat", "late"])
        if params["shape"] == "late":
            params["gain"] = trial.suggest_float("gain", 0.1, 1.0)
        for step in range(1, 3 if number % 4 == 0 else 6):
            trial.report(value(params, step), step - 1 + first)
        if number == 2:
            made.tell(trial, state=TrialState.FAIL)
        elif number < trials - 1:
            state = TrialState.PRUNED if number % 4 == 0 else TrialState.COMPLETE
            made.tell(trial, None if state is TrialState.PRUNED else value(params, 5), state=state)
    return made


def fill_database(url, study, **more):
    storage = RDBStorage(url)
    fill(storage, study, **more)
    storage.remove_session()
    storage.engine.dispose()


@pytest.fixture(scope="module")
def filled(tmp_path_factory, curve):
    """The file of another study's database."""
    file = tmp_path_factory.mktemp("filled") / "old.db"
    fill_database(f"sqlite:///{file}", curve())
    return file


@pytest.fixture
def old(tmp_path, filled):
    """The URL of another study's database."""
    return f"sqlite:///{shutil.copy(filled, tmp_path / 'old.db')}"


def usable(study, url, name=None):
    return chosen(study, read_source(study, url, name))[0]


def bytes_of(url):
    return Path(url.removeprefix("sqlite:///")).read_bytes()


def opened(config):
    return OptunaStudies(config.storage, prepare_optuna)


def test_finished_trials_are_imported(config, curve, old):
    study, before = curve(), bytes_of(old)
    outcome = api.import_trials(study, config, source=old)
    assert (outcome.source, outcome.source_study, outcome.imported, outcome.new) == (old, OLD, 10, 10)
    assert dict(outcome.left_out) == {2: "failed", 11: "not over"}
    theirs = [trial for trial in optuna.load_study(study_name=OLD, storage=old).trials if trial.number not in (2, 11)]
    ours = opened(config).find("curve").trials()
    assert [one.state for one in ours] == ["imported"] * 10
    for one, other in zip(ours, theirs, strict=True):
        assert (one.params, one.value, one.values) == (other.params, other.value, other.intermediate_values)
        assert one.origin == f"{other.state.name.lower()} trial {other.number} of study {OLD} in {old}"
    assert bytes_of(old) == before


def test_a_journal_is_read_as_a_database_is(tmp_path, config, curve, old):
    path = tmp_path / "journal.log"
    fill(JournalStorage(JournalFileBackend(str(path))), curve())
    before = path.read_bytes()
    assert api.import_trials(curve(), config, source=str(path)).imported == 10
    assert path.read_bytes() == before
    one, other = usable(curve(), old), usable(curve(), str(path))
    assert [(t.params, t.values, t.intermediate_values) for t in one] == [
        (t.params, t.values, t.intermediate_values) for t in other
    ]


@pytest.mark.slow
@pytest.mark.postgres
def test_server_is_read_only(config, curve, postgres_url):
    fill_database(postgres_url.replace("postgresql://", "postgresql+psycopg://"), curve())
    url = postgres_url.replace("postgresql://postgres:", "postgresql://postgres:s3cret")
    outcome = api.import_trials(curve(), config, source=url)
    assert outcome.imported == 10
    assert "s3cret" not in repr(outcome)
    assert "s3cret" not in bytes_of(config.storage).decode("latin-1")
    read, options = read_only(url, "studies")
    engine = create_engine(read, **options)
    with engine.connect() as connection, pytest.raises(InternalError, match="read-only transaction"):
        connection.execute(text("DELETE FROM studies"))
    engine.dispose()


@pytest.mark.slow
def test_proposals_match_optuna(config, curve, old):
    study = curve(search={"lag": 1})
    api.import_trials(study, config, source=old)
    database = opened(config)
    one_by_one(open_source(database, study, 15))
    ours = table(database, study)
    assert ours[10:] == plain_optuna(study, 15, usable(study, old))[10:]
    other = curve(search={"lag": 1}, name="without")
    one_by_one(open_source(database, other, 25))
    assert [row[2] for row in ours[10:]] != [row[2] for row in table(database, other)[10:]]


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["tpe", "random", "cmaes", "qmc", "nsgaii"])
def test_table_ignores_slots_and_kills(tmp_path, curve, old, sampler):
    study = curve(search={"lag": 3, "sampler": sampler})
    tables = []
    for run in range(3):
        database = OptunaStudies(f"sqlite:///{tmp_path / f'{run}.db'}", prepare_optuna)
        database.open("curve", study.objective, {}).import_trials({"from": old, "study": OLD}, usable(study, old))
        if run == 2:
            source = open_source(database, study, 12)
            assert isinstance(source.ask(), Job)
            assert isinstance(source.ask(), Job)
        in_random_order(open_source(database, study, 12), 1 + run, random.Random(run))
        tables.append(table(database, study))
        database.close()
    assert tables[0] == tables[1] == tables[2]
    assert len(tables[0]) == 22


def test_pruner_sees_imported_trials(config, curve, old):
    study = curve(search={"lag": 6, "pruner": "median", "pruner_options": {"n_startup_trials": 7}})
    taken = usable(study, old)
    assert [trial.state for trial in taken].count(TrialState.COMPLETE) == 7
    for trial in taken:
        trial.intermediate_values = dict.fromkeys(range(1, 6), 1e6)
    database = opened(config)
    database.open("curve", Objective(metric="val"), {}).import_trials({"from": old, "study": OLD}, taken)
    source = open_source(database, study, 1)
    assert source.report(source.ask(), 1, 0.0) is Decision.STOP


def test_imported_trials_are_extra(config, curve, old):
    space = {"x": {"float": [0.0, 1.0], "step": 0.5}, "k": {"choice": [2]}}
    study = curve(space=space, fixed={"shape": "flat"}, search={"sampler": "grid", "lag": 1})
    known = [
        create_trial(
            state=TrialState.COMPLETE,
            params={"x": 0.5, "k": 2},
            distributions={"x": FloatDistribution(0.0, 1.0), "k": CategoricalDistribution([2])},
            value=100.0,
            user_attrs={"hpo:imported": {"from": "-", "study": "-", "trial": 0}},
        )
    ]
    database = opened(config)
    durable = database.open("curve", Objective(metric="val"), {})
    durable.import_trials({"from": "-", "study": "-"}, known)
    source = open_source(database, study, 9)
    assert (source.total, source.over) == (3, 0)
    one_by_one(source)
    assert [row[2]["x"] for row in table(database, study)[1:]] == [0.0, 0.5, 1.0]
    assert source.ended == "every point of the grid has been tried"
    assert (source.total, source.over) == (3, 3)


@pytest.mark.slow
@pytest.mark.parametrize(("limits", "count"), [({"until": 0.05}, 1), ({"patience": 2}, None)])
def test_imported_do_not_end_search(config, curve, old, limits, count):
    study = curve(search={"lag": 1, "pruner": "none"})
    best = max(trial.values[0] for trial in usable(study, old))
    api.import_trials(study, config, source=old)
    outcome = api.run(study, config, trials=12, **limits)
    own = [trial for trial in outcome.trials if trial.state != "imported"]
    assert len(own) == outcome.own
    assert own[0].number == 10
    if count is not None:
        assert best > limits["until"]  # so the search would not have begun, were it the study's own
        assert outcome.own == count
    else:
        assert outcome.own >= 3


@pytest.mark.slow
def test_imported_are_no_candidates(config, curve, old):
    study = curve(search={"trials": 2, "lag": 1, "pruner": "none"}, promotion={"top": 2})
    storage = RDBStorage(old)
    made = optuna.load_study(study_name=OLD, storage=storage)
    distributions = made.trials[1].distributions
    made.add_trial(create_trial(params=made.trials[1].params, distributions=distributions, value=1e6))
    api.import_trials(study, config, source=old)
    outcome = api.run(study, config)
    assert outcome.incumbent.number >= 11
    [progress] = api.status("curve", config)
    assert (progress.wanted, progress.counts["imported"], progress.incumbent.number) == (
        2,
        11,
        outcome.incumbent.number,
    )
    promoted = api.promote(study, config)
    assert all(row.candidate.trial >= 11 for row in promoted.ranking.rows)


def test_partial_import_blocks_search(config, curve, old, monkeypatch):
    study = curve(search={"lag": 1})
    # The announcement is written first, then a trial at a time: end it between two.
    create, made = RDBStorage.create_new_trial, []

    def breaks(storage, study_id, template_trial=None):
        if len(made) == 4:
            raise KeyboardInterrupt
        made.append(template_trial)
        return create(storage, study_id, template_trial)

    with monkeypatch.context() as patched:
        patched.setattr(RDBStorage, "create_new_trial", breaks)
        with pytest.raises(KeyboardInterrupt):
            api.import_trials(study, config, source=old)
    with pytest.raises(UsageError, match=r"interrupted.*hpo import --study curve --from sqlite.*'what we did before'"):
        api.run(study, config, trials=1)
    outcome = api.import_trials(study, config, source=old)
    assert (outcome.imported, outcome.new) == (10, 6)
    assert api.import_trials(study, config, source=old).new == 0
    assert api.run(study, config, trials=1).own == 1


def test_started_study_takes_no_import(config, curve, old):
    api.run(curve(), config, trials=1)
    with pytest.raises(UsageError, match="study 'curve' has begun"):
        api.import_trials(curve(), config, source=old)


WRONG = [
    ({"objective": {"direction": "minimize"}}, "is to maximize, 'curve' to minimize"),
    ({"space": {"x": {"float": [2.0, 3.0]}}}, "none of the 12 trials .* x: expected a value of float 2.0 .. 3.0"),
    ({"search": {"constraints": ["size"]}}, "none of the 12 trials .* no constraint size"),
]


@pytest.mark.parametrize(("tables", "message"), WRONG)
def test_unfit_trials_write_nothing(config, curve, old, tables, message):
    with pytest.raises(UsageError, match=message):
        api.import_trials(curve(**tables), config, source=old)
    assert not Path(config.storage.removeprefix("sqlite:///")).exists()


def test_equal_fixed_params_left_out(curve, old):
    whole = curve()
    fixed = next(trial.params["k"] for trial in usable(whole, old))
    study = curve(
        space={name: one for name, one in whole.content()["space"].items() if name != "k"}, fixed={"k": fixed}
    )
    taken = usable(study, old)
    assert 0 < len(taken) < 10
    assert all("k" not in trial.params for trial in taken)


def unfit(tmp_path):
    (tmp_path / "words.log").write_text("not a journal\n")
    (tmp_path / "words.db").write_text("not a database\n" * 100)
    (tmp_path / "empty.db").touch()


MISSING = [
    ("sqlite:///{}/none.db", None, StorageUnavailable, "storage sqlite.* does not exist"),
    ("sqlite:///{}/empty.db", None, StorageUnavailable, "is not an Optuna storage"),
    ("sqlite:///{}/words.db", None, StorageUnavailable, "is not an Optuna storage"),
    ("{}/none.log", None, StorageUnavailable, "there is no file .*none.log"),
    ("u:s3cret@host/name", None, StorageUnavailable, r"there is no file \(not a URL\)"),
    ("host=h password=é s3cret", None, StorageUnavailable, r"there is no file \(not a URL\)"),
    ("{}/words.log", None, StorageUnavailable, "no studies of Optuna's in .*words.log"),
    ("{}/old.db", None, StorageUnavailable, "of an SQLite file say sqlite:///"),
    ("sqlite:///{}/old.db", "what we did befor", UsageError, "Did you mean what we did before"),
    ("mysql://u:s3cret@host/name", None, StorageUnavailable, r"mysql://u:\*\*\*@host/name is neither"),
    ("postgresql://u:s3cret@127.0.0.1:1/name", None, StorageLost, r"u:\*\*\*@127.0.0.1:1/name does not answer"),
]


@pytest.mark.parametrize(("source", "name", "error", "message"), MISSING)
def test_unreadable_source_fails_early(tmp_path, config, curve, old, source, name, error, message):
    unfit(tmp_path)
    with pytest.raises(error, match=message) as caught:
        api.import_trials(curve(), config, source=source.format(tmp_path), source_study=name)
    assert "s3cret" not in str(caught.value)
    assert not (tmp_path / "none.db").exists()
    assert not (tmp_path / "none.log").exists()
    assert not (tmp_path / "hpo.db").exists()


def test_unreadable_trials_one_sentence(tmp_path, config, curve, old):
    with closing(sqlite3.connect(tmp_path / "old.db", isolation_level=None)) as connection:
        connection.execute('UPDATE trial_params SET distribution_json = \'{"name": "Newer", "attributes": {}}\'')
    with pytest.raises(StorageDamaged, match="cannot be read: Unknown distribution class: Newer"):
        api.import_trials(curve(), config, source=f"sqlite:///{tmp_path / 'old.db'}", source_study="what we did before")


def test_several_studies_need_a_name(config, curve, old):
    fill_database(old, curve(), name="another")
    with pytest.raises(UsageError, match=r"--from-study is needed.*studies what we did before, another"):
        api.import_trials(curve(), config, source=old)
    assert api.import_trials(curve(), config, source=old, source_study="another").source_study == "another"


def test_command_prints_what_it_took(tmp_path, curve, old):
    common = ["--study", str(curve().root / "studies" / "curve.toml"), "--storage", f"sqlite:///{tmp_path / 'hpo.db'}"]
    done = CliRunner().invoke(app, ["import", *common, "--from", old])
    assert done.exit_code == 0, done.output
    assert f"Imported: 10 trials of study {OLD} in {old}." in done.stdout
    assert "Left out: trial 2: failed." in done.stdout
    values = json.loads(CliRunner().invoke(app, ["import", *common, "--json"], env={"HPO_FROM": old}).stdout)
    assert (values["imported"], values["new"], values["left_out"]["11"]) == (10, 0, "not over")
    run = ["run", *common, "--backend", "local", "--trials", "1", "--outputs", str(tmp_path / "o")]
    assert "It began with 10 imported trials." in CliRunner().invoke(app, run).stdout
    shown = CliRunner().invoke(app, ["show", *common, "0"]).stdout
    assert f"from: pruned trial 0 of study {OLD} in {old}" in shown


def steps_of(trials):
    return [sorted(trial.intermediate_values.items()) for trial in trials]


def test_steps_from_0_move_by_one(curve, old, tmp_path):
    url = f"sqlite:///{tmp_path / 'from-0.db'}"
    fill_database(url, curve(), first=0)
    assert steps_of(usable(curve(), url)) == steps_of(usable(curve(), old))


def test_late_steps_stay_unchanged(curve, tmp_path):
    url = f"sqlite:///{tmp_path / 'late.db'}"
    fill_database(url, curve(), first=3)
    assert min(step for trial in usable(curve(), url) for step in trial.intermediate_values) == 3


@pytest.mark.parametrize(
    ("steps", "moved"),
    [((9, 19, 29), 1), ((10, 20, 30), 0), ((0, 10, 20), 1), ((1, 11, 21), 0), ((4, 9), 1), ((1, 3, 5), 0), ((9,), 0)],
)
def test_sparse_steps_reveal_their_start(steps, moved):
    trial = optuna.trial.create_trial(value=1.0, intermediate_values=dict.fromkeys(steps, 1.0))
    assert Foreign(source="old.db", study="old", direction="maximize", trials=(trial,)).step_offset == moved


@pytest.mark.parametrize("more", [{}, {"learning_rate": 0.5}])
def test_names_become_identifiers(curve, more):
    space = {name: optuna.distributions.FloatDistribution(0, 1) for name in ("learning-rate", *more)}
    trial = create_trial(params={"learning-rate": 0.25, **more}, distributions=space, value=1.0)
    study = curve(space={"learning_rate": {"float": [0.0, 1.0]}})
    taken, left_out = chosen(study, Foreign(source="old.db", study="old", direction="maximize", trials=(trial,)))
    assert [dict(one.params) for one in taken] == ([] if more else [{"learning_rate": 0.25}])
    assert [reason[:28] for reason in left_out.values()] == ["learning-rate: no such param"] * len(more)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "said"),
    [
        (0, "Steps are counted from 0 there and from 1 here: each was moved by one."),
        (1, "Steps are counted from 1 there, as here."),
        (2, "Their last step is 6 and the budget of this study is 5"),
    ],
)
def test_the_convention_of_steps_is_said(config, curve, tmp_path, first, said):
    url = f"sqlite:///{tmp_path / 'other.db'}"
    fill_database(url, curve(), first=first)
    assert said in tables.import_text(api.import_trials(curve(), config, source=url))
