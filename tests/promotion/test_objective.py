"""A finished Optuna study and its objective function, promoted in three lines."""

from __future__ import annotations

import random
from functools import partial

import numpy as np
import optuna
import pytest

import hpo
from hpo.core.errors import NothingToPromote, UsageError


def objective(trial):
    """The usual kind: conditional params, a loop of params, reports, an attribute, the global generators."""
    layers = trial.suggest_int("n_layers", 1, 3)
    units = [trial.suggest_int(f"n_units_l{i}", 4, 64, log=True) for i in range(layers)]
    lr = trial.suggest_float("lr", 1e-4, 1e-1, log=True)
    momentum = (
        trial.suggest_float("momentum", 0, 0.9) if trial.suggest_categorical("opt", ["sgd", "adam"]) == "sgd" else 0
    )
    for step in range(3):
        trial.report(step, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    trial.set_user_attr("units", sum(units))
    trial.set_user_attr("note", "text")
    return 1 - lr + momentum / 10 + 0.1 * random.random() + 0.1 * np.random.random()  # noqa: NPY002


@pytest.fixture
def study():
    made = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=1))
    made.optimize(objective, n_trials=8)
    return made


@pytest.mark.slow
def test_three_lines(study, config):
    outcome = hpo.promote(study, objective, seeds=[42, 43, 44], top=3, config=config)
    best = sorted(study.trials, key=lambda trial: -trial.value)[:3]
    trials = outcome.report.external.values()
    assert [(t.origin.trial, t.value, t.params) for t in trials] == [(t.number, t.value, t.params) for t in best]
    assert outcome.trained == 9
    assert outcome.luck.value == study.best_value
    assert all(row.sigma > 0 for row in outcome.ranking.rows)
    metrics = {one.metric for one in outcome.report.metrics}
    assert metrics == {"value", "units", "reported_mean"}
    assert hpo.promote(study, objective, seeds=[42, 43, 44], top=3, config=config).trained == 0


def test_the_seed_is_given(config):
    def given(trial, seed):
        return trial.suggest_float("x", 0, 1) + seed

    made = optuna.create_study(study_name="My study")
    made.optimize(lambda trial: given(trial, 0), n_trials=3)
    outcome = hpo.promote(made, given, seeds=[1, 2], top=1, config=config)
    [row] = outcome.ranking.rows
    assert row.candidate.values == {seed: made.best_value + seed for seed in (1, 2)}
    assert (outcome.study.name, outcome.luck.luck) == ("my-study", pytest.approx(1.5))


class WithData:
    def __init__(self, data):
        self.data = data

    def __call__(self, trial):
        return trial.suggest_float("x", 0, 1) + self.data * random.random()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["object", "method", "partial"])
def test_objectives_with_data(config, how):
    made = WithData(0.1)
    given = {"object": made, "method": made.__call__, "partial": partial(WithData.__call__, made)}[how]
    study = optuna.create_study()
    study.optimize(given, n_trials=2)
    outcome = hpo.promote(study, given, seeds=[1, 2], top=1, config=config)
    assert len(outcome.ranking.complete) == 1
    assert outcome.study.name in ("withdata", "call")
    assert any("test_objective.py" in file for file in hpo.show(outcome.study, 1000000, config)[1][0].code.files)


def test_seeded_inside_and_outside(config):
    def given(trial):
        return trial.suggest_float("x", 0, 1) + hpo.seeded(7)

    made = optuna.create_study()
    made.optimize(given, n_trials=2)
    assert made.best_value >= 7
    [row] = hpo.promote(made, given, seeds=[1, 2], top=1, config=config).ranking.rows
    assert [value - row.candidate.search_value for value in row.candidate.values.values()] == [-6, -5]
    assert hpo.seeded(3) == 3
    first = random.random()
    assert (hpo.seeded(3), random.random()) == (3, first)


@pytest.mark.parametrize(("steps", "count"), [((0, 0, 1), 0), ((0, 1, 2, 3), 1)])
def test_a_longer_objective_is_said(config, steps, count):
    reported = [0, 1]

    def given(trial):
        for step in reported:
            trial.report(1.0, step)
        return trial.suggest_float("x", 0, 1) + random.random()

    made = optuna.create_study()
    made.optimize(given, n_trials=2)
    reported[:] = steps
    warnings = hpo.promote(made, given, seeds=[1, 2], top=2, config=config).report.warnings
    assert [one for one in warnings if "reported 2 values, but the replicates reported 4" in one] == [*warnings][:count]
    assert len(warnings) == count


@pytest.mark.slow
def test_an_objective_that_prunes_itself(config):
    def given(trial):
        if trial.suggest_float("x", 0, 1) >= 0:
            raise optuna.TrialPruned
        return 1.0

    made = optuna.create_study()
    made.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    outcome = hpo.promote(made, given, seeds=[1, 2], config=config)
    assert outcome.report.winner is None
    errors = [one.error for one in hpo.show(outcome.study, outcome.ranking.rows[0].candidate.trial, config)[1]]
    assert all(
        "the trainable raised TrialPruned, but only a search prunes: should_prune() is never true" in error
        for error in errors
    )


@pytest.mark.slow
@pytest.mark.parametrize("url", [None, "sqlite:///{}/old.db"])
@pytest.mark.filterwarnings("ignore:Choices for a categorical distribution")
def test_choices_are_texts(config, tmp_path, url):
    def given(trial):
        k, size = trial.suggest_categorical("k", ["a", None]), trial.suggest_categorical("size", [(3, 4)])
        return trial.suggest_float("x", 0, 1) + (k is None) + size[0] + random.random()

    made = optuna.create_study(direction="maximize", storage=url and url.format(tmp_path))
    made.enqueue_trial({"x": 0.1, "k": None})
    made.optimize(given, n_trials=1)
    outcome = hpo.promote(made, given, seeds=[1, 2], top=1, config=config)
    [candidate] = outcome.report.external.values()
    assert (candidate.params["k"], candidate.params["size"]) == ("None", "[3, 4]" if url else "(3, 4)")
    assert outcome.ranking.rows[0].mean > 4


@pytest.mark.slow
def test_names_become_identifiers(config):
    def given(trial):
        return trial.suggest_float("learning-rate", 0, 1) + trial.suggest_int("n units", 1, 2) + random.random()

    made = optuna.create_study()
    made.optimize(given, n_trials=1)
    outcome = hpo.promote(made, given, seeds=[1, 2], top=1, config=config)
    assert outcome.report.external[1000000].params.keys() == {"learning_rate", "n_units"}
    assert len(outcome.ranking.complete) == 1


def test_names_that_become_equal_are_left_out(config):
    made = optuna.create_study()
    made.optimize(lambda trial: trial.suggest_float("a-b", 0, 1) + trial.suggest_float("a_b", 0, 1), n_trials=1)
    with pytest.raises(NothingToPromote, match="the first: a-b and a_b: a study has both as a_b"):
        hpo.promote(made, objective, config=config)


@pytest.mark.filterwarnings("ignore:Choices for a categorical distribution")
def test_a_choice_without_a_text_is_left_out(config):
    def given(trial):
        return trial.suggest_float("x", 0, 1) + (trial.suggest_categorical("k", ["a", odd]) == "a") + random.random()

    odd, made = frozenset(), optuna.create_study()
    made.enqueue_trial({"x": 0.1, "k": odd})
    made.enqueue_trial({"x": 0.1, "k": "a"})
    made.optimize(given, n_trials=2)
    outcome = hpo.promote(made, given, seeds=[1, 2], top=1, config=config)
    assert [one.origin.trial for one in outcome.report.external.values()] == [1]
    assert [one.reason for one in outcome.left_out] == ["k: expected a number, a text, None or a list, got frozenset()"]


def test_refused_objectives(study, config):
    with pytest.raises(UsageError, match="objective must be a function"):
        hpo.promote(study, "objective", config=config)
    with pytest.raises(UsageError, match=r"other\(trial, data\) cannot be called; expected objective\(trial\) or"):
        hpo.promote(study, _other(), config=config)
    with pytest.raises(UsageError, match=r"takes no 'tops'.* Did you mean top"):
        hpo.promote(study, objective, tops=3, config=config)
    with pytest.raises(NothingToPromote, match="has no completed trial"):
        hpo.promote(optuna.create_study(), objective, config=config)


def _other():
    def other(trial, data):
        return 0.0

    return other
