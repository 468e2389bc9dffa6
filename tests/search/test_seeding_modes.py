"""Searches under one seed, under a seed for each trial, and under several seeds for each trial."""

from __future__ import annotations

import statistics
from dataclasses import replace

import numpy as np
import pytest
from searches import one_by_one, open_source, table

import hpo
from hpo import api
from hpo.core.errors import StudyChanged
from hpo.core.protocols import DONE, WAIT, Decision
from hpo.core.records import Evaluation, Job, Objective, Report, Status
from hpo.search.replicated import ReplicatedSource
from hpo.stats.scoring import Rule
from hpo.store import prepare_optuna
from hpo.store.optuna_storage.studies import OptunaStudies

NOISY = {"trainable": "toys.net:train", "space": {"lr": {"float": [0.01, 0.2]}}, "objective": {"metric": "val_acc"}}


def net(curve, **search):
    return curve(**NOISY, search={"trials": 3, "budget": 2, "pruner": "none", "lag": 1, **search}, promotion={"top": 2})


class Trials:
    """A search of so many trials that remembers what it hears."""

    def __init__(self, count):
        self.jobs = [Job(trial=number, params={"x": number}, seed=41, budget=2) for number in range(count)]
        self.told = []

    def ask(self):
        return self.jobs.pop(0) if self.jobs else DONE

    def report(self, job, step, value):
        raise AssertionError("a replicate's steps are not the trial's")

    def tell(self, evaluation):
        self.told.append(evaluation)


def evaluation(job, value, over=-1.0):
    report = Report(step=2, metrics={"val": value, "over": over}, at=0.0)
    return Evaluation(job=job, status=Status.COMPLETE, value=value, step=2, reports=(report,), seconds=1.5)


def test_each_trial_has_its_own_seed(tmp_path, curve):
    study = curve(search={"seeding": "per-trial", "trials": 30})
    seeds = [study.search_seeds(number) for number in range(30)]
    assert len(set(seeds)) == 30
    assert seeds == [curve(search={"seeding": "per-trial"}).search_seeds(number) for number in range(30)]
    assert seeds != [curve(search={"seeding": "per-trial", "seed": 40}).search_seeds(number) for number in range(30)]
    database = OptunaStudies(f"sqlite:///{tmp_path / 'hpo.db'}", prepare_optuna)
    source = open_source(database, study, 2)
    assert [(source.ask().seed,), (source.ask().seed,)] == seeds[:2]
    again = open_source(database, study, 3)  # a driver that goes on with both
    assert [(again.ask().seed,) for _ in range(3)] == seeds[:3]
    database.close()


def test_replicates_share_seeds(curve):
    study = curve(search={"seeding": "replicated", "replicates": 4, "pruner": "none"})
    assert study.search_seeds(0) == study.search_seeds(9)
    assert len(set(study.search_seeds(0))) == 4
    assert study.search_seeds(0)[0] == 41


@pytest.mark.parametrize(("lambda_", "direction"), [(0.0, "maximize"), (1.0, "maximize"), (1.5, "minimize")])
def test_replicated_value_formula(lambda_, direction):
    search, values = Trials(1), {1: 0.2, 2: 0.5, 3: 0.4}
    objective = Objective(metric="val", direction=direction)
    source = ReplicatedSource(search, (1, 2, 3), Rule(lambda_=lambda_), objective)
    jobs = [source.ask() for _ in range(3)]
    assert [(job.trial, job.seed) for job in jobs] == [(0, 1), (0, 2), (0, 3)]
    for job in reversed(jobs):
        assert search.told == []
        assert source.report(job, 1, 0.0) is Decision.CONTINUE
        source.tell(evaluation(job, values[job.seed]))
    [told] = search.told
    sign = -1 if direction == "maximize" else 1
    assert told.value == pytest.approx(
        statistics.mean(values.values()) + sign * lambda_ * np.std(list(values.values()))
    )
    assert (told.job.seed, told.seconds, told.metrics["val"]) == (
        41,
        4.5,
        pytest.approx(statistics.mean(values.values())),
    )
    assert source.ask() is DONE


def test_failed_replicate_fails_its_trial():
    search = Trials(2)
    source = ReplicatedSource(search, (1, 2, 3), Rule(), Objective(metric="val"))
    first, second = source.ask(), source.ask()
    source.tell(Evaluation(job=first, status=Status.FAILED, error="broke"))
    assert search.told == []
    assert source.ask().trial == 1
    source.tell(evaluation(second, 0.5))
    [told] = search.told
    assert (told.status, told.error) == (Status.FAILED, "under seed 1: broke")


def test_pruned_replicate_prunes_its_trial():
    search = Trials(1)
    source = ReplicatedSource(search, (1, 2, 3), Rule(), Objective(metric="val"))
    first, second = source.ask(), source.ask()
    source.tell(replace(evaluation(first, 0.5), status=Status.PRUNED, remarks=("by itself",)))
    assert source.ask() is DONE
    source.tell(evaluation(second, 0.5))
    [told] = search.told
    assert (told.status, told.value, told.remarks) == (Status.PRUNED, None, ("under seed 1: by itself",))


def test_constraint_holds_in_all_replicates():
    search = Trials(1)
    source = ReplicatedSource(search, (1, 2), Rule(), Objective(metric="val", constraints=("over",)))
    for over in (-1.0, 0.3):
        source.tell(evaluation(source.ask(), 0.5, over))
    assert search.told[0].metrics["over"] == 0.3


def test_waiting_source_while_replicates_run():
    search = Trials(1)
    answers = [search.jobs.pop(), WAIT]
    search.ask = lambda: answers.pop(0)
    source = ReplicatedSource(search, (1, 2), Rule(), Objective(metric="val"))
    assert [source.ask().seed, source.ask().seed] == [1, 2]
    assert source.ask() is WAIT


@pytest.mark.slow
def test_replicated_search_resumes(curve, config, tmp_path):
    study = net(curve, seeding="replicated", replicates=2, **{"lambda": 1.0})

    class StopsAfter:
        def __init__(self, count):
            self.left = count

        def is_set(self):
            self.left -= 1
            return self.left < 0

    hpo.run(study, config, stop=StopsAfter(9))
    outcome = hpo.run(study, config)
    for trial in outcome.trials:
        _, evaluations = api.show("curve", trial.number, config)
        values = {one.job.seed: one.value for one in evaluations}
        assert set(values) == set(study.search_seeds(0))
        assert trial.value == pytest.approx(np.mean(list(values.values())) - np.std(list(values.values())))
    elsewhere = hpo.RunConfig(storage=f"sqlite:///{tmp_path / 'b.db'}", outputs=tmp_path / "b", backend="local")
    assert [(t.params, t.value) for t in hpo.run(study, elsewhere).trials] == [
        (t.params, t.value) for t in outcome.trials
    ]
    promoted = hpo.promote(study, config)
    assert "searched on 2 seeds" in promoted.report.markdown().replace("search on", "searched on")


@pytest.mark.slow
def test_per_trial_seeds_can_be_promoted(curve, config):
    study = net(curve, seeding="per-trial")
    outcome = hpo.run(study, config)
    for trial in outcome.trials:
        _, [one] = api.show("curve", trial.number, config)
        assert (one.job.seed,) == study.search_seeds(trial.number)
    promoted = hpo.promote(study, config)
    assert promoted.report.certainty.seen == ()
    assert promoted.trained == 6


def test_replicated_trials_are_not_pruned(curve):
    with pytest.raises(ValueError, match="replicated trials cannot be pruned"):
        curve(search={"seeding": "replicated"})


def test_seeding_is_part_of_study_identity(curve, config):
    hpo.run(curve(), config, trials=1)
    with pytest.raises(StudyChanged, match=r"search\.seeding"):
        hpo.run(curve(search={"seeding": "per-trial"}), config)


def test_fixed_seeding_is_unchanged(tmp_path, curve):
    """A study that says nothing of it has the identity that it had before there was a choice."""
    assert curve().identity() == curve(search={"seeding": "fixed"}).identity()
    assert not any("seeding" in key for key in curve().identity())
    database = OptunaStudies(f"sqlite:///{tmp_path / 'hpo.db'}", prepare_optuna)
    one_by_one(open_source(database, curve(), 2))
    assert len(table(database, curve())) == 2
    database.close()
