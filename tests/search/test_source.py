"""The search against Optuna itself, and against its own interruption."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from searches import in_random_order, one_by_one, open_source, plain_optuna, table, train

from hpo.core.protocols import WAIT
from hpo.core.records import Evaluation, Job, Status
from hpo.store import prepare_optuna
from hpo.store.optuna_storage.studies import OptunaStudies


@pytest.fixture
def durable(tmp_path):
    made = OptunaStudies(f"sqlite:///{tmp_path / 'hpo.db'}", prepare_optuna)
    yield made
    made.close()


@pytest.mark.slow("tpe")
@pytest.mark.parametrize("lag", [1, False])
@pytest.mark.parametrize("pruner", ["median", "none"])
@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_sequential_search_matches_optuna(durable, curve, lag, pruner, sampler):
    study = curve(search={"lag": lag, "pruner": pruner, "sampler": sampler})
    one_by_one(open_source(durable, study))
    found = table(durable, study)
    assert found == plain_optuna(study)
    assert ("pruned" in {row[1] for row in found}) == (pruner == "median")


def test_memory_table_matches_database(durable, curve):
    study = curve(search={"lag": 4})
    source = open_source(durable, study, trials=12)
    for _ in range(9):
        train(source, source.ask())
    source.tell(Evaluation(job=source.ask(), status=Status.FAILED, error="x" * 3000))
    train(source, source.ask(), upto=2)
    stored = durable.find(study.name).trials()
    assert [replace(t, ended=None) for t in source.trials()] == [replace(t, ended=None) for t in stored]
    assert [t.ended is None for t in source.trials()] == [t.ended is None for t in stored]
    again = open_source(durable, study, trials=12)
    assert again.trials() == stored


@pytest.mark.slow
def test_lag_makes_timing_irrelevant(tmp_path, curve):
    study = curve(search={"lag": 4})
    tables = []
    for run in range(4):
        durable = OptunaStudies(f"sqlite:///{tmp_path / f'{run}.db'}", prepare_optuna)
        in_random_order(open_source(durable, study), 1 + run, random.Random(run))
        tables.append(table(durable, study))
        durable.close()
    assert all(other == tables[0] for other in tables)
    assert "pruned" in {row[1] for row in tables[0]}


@pytest.mark.slow
def test_no_lag_depends_on_timing(tmp_path, curve):
    """The control: a test of determinism that chance could not fail would prove nothing."""
    study = curve(search={"lag": False})
    tables = []
    for run in range(3):
        durable = OptunaStudies(f"sqlite:///{tmp_path / f'{run}.db'}", prepare_optuna)
        in_random_order(open_source(durable, study), 4, random.Random(run))
        tables.append(table(durable, study))
        durable.close()
    assert tables[0] != tables[1] or tables[1] != tables[2]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_interrupted_search_has_same_table(tmp_path, curve, seed):
    study = curve(search={"lag": 4})
    undisturbed = OptunaStudies(f"sqlite:///{tmp_path / 'whole.db'}", prepare_optuna)
    one_by_one(open_source(undisturbed, study))
    durable = OptunaStudies(f"sqlite:///{tmp_path / 'cut.db'}", prepare_optuna)
    draw = random.Random(seed)
    for _ in range(4):  # drivers that each leave up to three trials open, at steps that chance decides
        source = open_source(durable, study)
        for _ in range(draw.randint(2, 5)):
            if isinstance(job := source.ask(), Job):
                train(source, job)
        for _ in range(3):
            if isinstance(job := source.ask(), Job):
                train(source, job, upto=draw.randint(1, 3))
    one_by_one(open_source(durable, study))
    assert table(durable, study) == table(undisturbed, study)
    undisturbed.close()
    durable.close()


def test_open_trials_come_first(durable, curve):
    study = curve()
    source = open_source(durable, study)
    left = [source.ask(), source.ask()]
    again = open_source(durable, study)
    assert [again.ask(), again.ask()] == left
    assert again.ask().trial == 2


def test_waits_for_trials_within_the_lag(durable, curve):
    study = curve(search={"lag": 2})
    source = open_source(durable, study)
    first, second = source.ask(), source.ask()
    assert source.ask() is WAIT
    train(source, second)
    assert source.ask() is WAIT
    train(source, first)
    assert source.ask().trial == 2


def test_more_trials_can_be_added_later(durable, curve):
    study = curve()
    one_by_one(open_source(durable, study, trials=6))
    short = table(durable, study)
    assert len(short) == 6
    assert not open_source(durable, study, trials=6).has_work
    one_by_one(open_source(durable, study, trials=10))
    assert table(durable, study)[:6] == short
    assert len(table(durable, study)) == 10


def test_failed_trial_has_a_reason(durable, curve):
    study = curve()
    source = open_source(durable, study)
    job = source.ask()
    source.tell(Evaluation(job=job, status=Status.FAILED, error="it broke"))
    [trial] = durable.find(study.name).trials()
    assert (trial.state, trial.value, trial.error) == ("failed", None, "it broke")


@pytest.mark.slow
def test_inactive_param_is_left_out(durable, curve):
    study = curve()
    one_by_one(open_source(durable, study))
    params = [row[2] for row in table(durable, study)]
    assert {("gain" in p) for p in params if p["shape"] == "late"} == {True}
    assert {("gain" in p) for p in params if p["shape"] == "flat"} == {False}
