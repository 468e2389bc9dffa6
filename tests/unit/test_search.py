"""The search against Optuna itself, and against its own interruption."""

from __future__ import annotations

import random
from dataclasses import replace

import optuna
import pytest
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from hpo.records import Evaluation, Job, Report, Status
from hpo.seam import DONE, WAIT
from hpo.search import Durable, SearchSource
from hpo.search.proposals import make_pruner, make_sampler, suggest
from hpo.store import prepare_optuna

TRIALS = 24


def value(params, step):
    """Curves that cross, so that pruning one trial or another makes a difference."""
    late = params.get("gain", 0.0) * (step / 5) ** 3
    return (1 - (params["x"] - 0.3) ** 2) * step / (step + params["k"]) + late


def train(source, job, upto=None):
    """Reports one job step by step and tells it; with `upto` it is left open after that step."""
    reports = []
    for step in range(1, job.budget + 1):
        reports.append(Report(step=step, metrics={"val": value(job.params, step)}, at=0.0))
        if not source.report(job, step, value(job.params, step)):
            source.tell(evaluation(job, Status.PRUNED, reports))
            return
        if step == upto:
            return
    source.tell(evaluation(job, Status.COMPLETE, reports))


def evaluation(job, status, reports):
    chosen = reports[-1] if status is Status.PRUNED else max(reports, key=lambda report: report.metrics["val"])
    return Evaluation(job=job, status=status, value=chosen.metrics["val"], step=chosen.step, reports=tuple(reports))


@pytest.fixture
def durable(tmp_path):
    made = Durable(f"sqlite:///{tmp_path / 'hpo.db'}", prepare_optuna)
    yield made
    made.close()


def open_source(durable, study, trials=TRIALS):
    return SearchSource(study, durable.open(study.name, study.objective.direction, {}), trials)


def table(durable, study):
    return [(t.number, t.state, t.params, t.value, t.values) for t in durable.find(study.name).trials()]


def one_by_one(source):
    while (job := source.ask()) is not DONE:
        train(source, job)


def in_random_order(source, slots, draw):
    """Keeps `slots` jobs going and lets chance decide which reports next."""
    running, reports = {}, {}
    while True:
        while len(running) < slots and isinstance(job := source.ask(), Job):
            running[job.trial], reports[job.trial] = job, []
        if not running:
            return
        trial = draw.choice(sorted(running))
        job, said = running[trial], reports[trial]
        step = len(said) + 1
        said.append(Report(step=step, metrics={"val": value(job.params, step)}, at=0.0))
        goes_on = source.report(job, step, said[-1].metrics["val"])
        if not goes_on or step == job.budget:
            source.tell(evaluation(job, Status.COMPLETE if goes_on else Status.PRUNED, said))
            del running[trial]


def plain_optuna(study):
    """What anybody would write with Optuna alone, one trial after the other."""
    made = optuna.create_study(
        study_name=study.name, storage=InMemoryStorage(), direction=study.objective.direction, pruner=make_pruner(study)
    )
    for number in range(TRIALS):
        made.sampler = make_sampler(study, number)
        trial = made.ask()
        params = suggest(trial, study.space)
        said = []
        for step in range(1, study.search.budget + 1):
            said.append(value(params, step))
            trial.report(said[-1], step)
            if trial.should_prune():
                made.tell(trial, state=TrialState.PRUNED)
                break
        else:
            made.tell(trial, max(said))
    states = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned"}
    return [(t.number, states[t.state], t.params, t.value, t.intermediate_values) for t in made.trials]


@pytest.mark.parametrize("lag", [1, False])
@pytest.mark.parametrize("pruner", ["median", "none"])
@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_one_at_a_time_it_is_plain_optuna_digit_for_digit(durable, curve, lag, pruner, sampler):
    study = curve(search={"lag": lag, "pruner": pruner, "sampler": sampler})
    one_by_one(open_source(durable, study))
    found = table(durable, study)
    assert found == plain_optuna(study)
    assert ("pruned" in {row[1] for row in found}) == (pruner == "median")


def test_the_source_s_own_table_is_the_database_s(durable, curve):
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


def test_with_a_lag_the_table_depends_neither_on_timing_nor_on_the_number_of_slots(tmp_path, curve):
    study = curve(search={"lag": 4})
    tables = []
    for run in range(6):
        durable = Durable(f"sqlite:///{tmp_path / f'{run}.db'}", prepare_optuna)
        in_random_order(open_source(durable, study), 1 + run % 4, random.Random(run))
        tables.append(table(durable, study))
        durable.close()
    assert all(other == tables[0] for other in tables)
    assert "pruned" in {row[1] for row in tables[0]}


def test_without_a_lag_it_does(tmp_path, curve):
    """The control: a test of determinism that chance could not fail would prove nothing."""
    study = curve(search={"lag": False})
    tables = []
    for run in range(3):
        durable = Durable(f"sqlite:///{tmp_path / f'{run}.db'}", prepare_optuna)
        in_random_order(open_source(durable, study), 4, random.Random(run))
        tables.append(table(durable, study))
        durable.close()
    assert tables[0] != tables[1] or tables[1] != tables[2]


@pytest.mark.parametrize("seed", range(4))
def test_a_search_that_was_interrupted_ends_with_the_same_table(tmp_path, curve, seed):
    study = curve(search={"lag": 4})
    undisturbed = Durable(f"sqlite:///{tmp_path / 'whole.db'}", prepare_optuna)
    one_by_one(open_source(undisturbed, study))
    durable = Durable(f"sqlite:///{tmp_path / 'cut.db'}", prepare_optuna)
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


def test_open_trials_are_handed_out_first_with_the_same_number_and_params(durable, curve):
    study = curve()
    source = open_source(durable, study)
    left = [source.ask(), source.ask()]
    again = open_source(durable, study)
    assert [again.ask(), again.ask()] == left
    assert again.ask().trial == 2


def test_it_waits_while_a_trial_it_has_to_know_is_running(durable, curve):
    study = curve(search={"lag": 2})
    source = open_source(durable, study)
    first, second = source.ask(), source.ask()
    assert source.ask() is WAIT
    train(source, second)
    assert source.ask() is WAIT
    train(source, first)
    assert source.ask().trial == 2


def test_more_trials_can_be_asked_for_later(durable, curve):
    study = curve()
    one_by_one(open_source(durable, study, trials=6))
    short = table(durable, study)
    assert len(short) == 6
    assert not open_source(durable, study, trials=6).has_work
    one_by_one(open_source(durable, study, trials=10))
    assert table(durable, study)[:6] == short
    assert len(table(durable, study)) == 10


def test_a_failed_trial_is_stored_with_its_reason_and_no_value(durable, curve):
    study = curve()
    source = open_source(durable, study)
    job = source.ask()
    source.tell(Evaluation(job=job, status=Status.FAILED, error="it broke"))
    [trial] = durable.find(study.name).trials()
    assert (trial.state, trial.value, trial.error) == ("failed", None, "it broke")


def test_a_param_whose_condition_fails_is_left_out(durable, curve):
    study = curve()
    one_by_one(open_source(durable, study))
    params = [row[2] for row in table(durable, study)]
    assert {("gain" in p) for p in params if p["shape"] == "late"} == {True}
    assert {("gain" in p) for p in params if p["shape"] == "flat"} == {False}
