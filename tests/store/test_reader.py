"""The trials that plain queries read are those that Optuna's own storage reads."""

from __future__ import annotations

import math
from datetime import datetime

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import RDBStorage
from optuna.trial import TrialState, create_trial

from hpo.store.optuna_storage import reader
from hpo.store.optuna_storage.reader import StorageReader, TableReader
from hpo.store.urls import normalize_url

PARAMS = {"rate": 0.1, "depth": 3, "kind": "tree", "none": None, "log": 1e-30}
DISTRIBUTIONS = {
    "rate": FloatDistribution(0, 1),
    "depth": IntDistribution(1, 9, step=2),
    "kind": CategoricalDistribution(["forest", "tree"]),
    "none": CategoricalDistribution([None, 1.5, True, "x"]),
    "log": FloatDistribution(1e-40, 1, log=True),
}
VALUES = [0.25, math.inf, -math.inf, -0.0, 1e300]


@pytest.fixture
def storage(storage_url):
    storage = RDBStorage(normalize_url(storage_url))
    yield storage
    storage.remove_session()
    storage.engine.dispose()


@pytest.fixture
def study(storage):
    """Two objectives; trials in every state, with whatever they can have."""
    other = optuna.create_study(storage=storage, study_name="other")
    sampler = optuna.samplers.RandomSampler(seed=0)
    directions = ["maximize", "minimize"]
    study = optuna.create_study(storage=storage, study_name="read", directions=directions, sampler=sampler)
    for number in range(12):
        other.add_trial(create_trial(value=float(number), params={"rate": 0.5}, distributions=half(DISTRIBUTIONS)))
        trial = create_trial(
            values=[VALUES[number % 5], float(number)],
            params=dict(reversed(PARAMS.items())) if number % 2 else half(PARAMS),
            distributions=DISTRIBUTIONS if number % 2 else half(DISTRIBUTIONS),
            user_attrs={"text": "a \u00fc", "more": [1, {"x": None}], "number": 3} if number % 3 else {},
            system_attrs={"constraints": [0.5, -1.0], "hpo:code": "abc"} if number % 4 else {},
            intermediate_values={3: math.nan, 1: math.inf, 2: 0.5} if number % 5 else {},
        )
        study.add_trial(trial)
    study.add_trial(create_trial(state=TrialState.PRUNED, intermediate_values={1: 0.0}))
    study.add_trial(create_trial(state=TrialState.FAIL))
    study.enqueue_trial({"rate": 0.7})
    study.ask()
    study.ask().suggest_float("rate", 0, 1)
    return study


def half(items):
    return {"rate": items["rate"]}


def shown(trials):
    """Returns all that a trial has as text, because NaN is equal to nothing; only params have an order in Optuna."""
    unordered = ("user_attrs", "system_attrs", "intermediate_values", "constraints")
    ordered = (
        "number",
        "state",
        "values",
        "datetime_start",
        "datetime_complete",
        "params",
        "distributions",
        "_trial_id",
    )
    return [
        repr([getattr(one, name) for name in ordered] + [sorted(getattr(one, name).items()) for name in unordered])
        for one in trials
    ]


def readers(storage, study):
    return [TableReader(storage.engine, study._study_id, keeps=keeps) for keeps in (False, True)]


@pytest.mark.parametrize("named", [0, 500])
def test_trials_are_optunas(storage, study, monkeypatch, named):
    monkeypatch.setattr(reader, "NAMED_AT_MOST", named)
    expected = StorageReader(storage, study._study_id)
    assert len(expected.frozen()) == 16
    for each in readers(storage, study):
        assert shown(each.frozen()) == shown(expected.frozen())
        assert repr(each.plain()) == repr(expected.plain())


def test_later_changes_are_seen(storage, study):
    expected, (_, keeping) = StorageReader(storage, study._study_id), readers(storage, study)
    kept = keeping.frozen()
    running = study.ask()
    storage.set_trial_intermediate_value(running._trial_id, 1, 0.5)
    assert shown(keeping.frozen()) == shown(expected.frozen())
    storage.set_trial_user_attr(running._trial_id, "late", 1)
    study.tell(running, [0.5, 0.25])
    now = keeping.frozen()
    assert shown(now) == shown(expected.frozen())
    assert now[0] is kept[0]
    assert repr(keeping.plain()) == repr(expected.plain())


def test_new_trials_with_old_ids_are_read(storage):
    """SQLite gives the ids of a deleted study and its trials again."""
    keeping = None
    for value in (1.0, 2.0):
        study = optuna.create_study(storage=storage, study_name="again")
        trial = create_trial(value=value)
        trial.datetime_start, trial.datetime_complete = datetime(2026, 1, 1), datetime(2026, 1, int(value) + 1)
        study.add_trial(trial)
        if keeping is None or keeping._study != study._study_id:  # Postgres gives no id again
            keeping = TableReader(storage.engine, study._study_id, keeps=True)
        assert [one.value for one in keeping.frozen()] == [value]
        optuna.delete_study(study_name="again", storage=storage)


def test_missing_study_is_an_error(storage):
    with pytest.raises(KeyError, match="no study with the id 77"):
        TableReader(storage.engine, 77, keeps=True).frozen()
