"""Intervals over resampled groups, compared with scikit-learn one resample at a time."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score, roc_auc_score

from hpo.stats.classification import NAMES, Sample, case_intervals, classification_scores, weighted_scores


def drawn(seed, cases=150, classes=4, ties=False):
    draw = np.random.default_rng(seed)
    truth_N = draw.integers(0, classes, cases)
    logit_NC = draw.normal(size=(cases, classes)) + 1.5 * np.eye(classes)[truth_N]
    probabilities_NC = np.exp(logit_NC) / np.exp(logit_NC).sum(axis=1, keepdims=True)
    return truth_N, probabilities_NC.round(1) if ties else probabilities_NC


def by_sklearn(truth_N, probabilities_NC, weight_N):
    """The metrics of one resample, in which each case is repeated."""
    truth_R, probability_RC = np.repeat(truth_N, weight_N), np.repeat(probabilities_NC, weight_N, axis=0)
    predicted_R, classes = probability_RC.argmax(axis=1), range(probabilities_NC.shape[1])
    wanted = [1] if len(classes) == 2 else classes
    return {
        "acc": accuracy_score(truth_R, predicted_R),
        "kappa_quadratic": cohen_kappa_score(truth_R, predicted_R, labels=list(classes), weights="quadratic"),
        "macro_f1": f1_score(truth_R, predicted_R, labels=list(classes), average="macro", zero_division=0),
        "auc_ovr": np.mean([roc_auc_score(truth_R == one, probability_RC[:, one]) for one in wanted]),
    }


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("ties", [False, True])
def test_weighted_scores_are_sklearns(classes, ties):
    truth_N, probabilities_NC = drawn(3, classes=classes, ties=ties)
    weight_DN = np.random.default_rng(1).integers(0, 4, (5, len(truth_N)))
    found = weighted_scores(truth_N, probabilities_NC, weight_DN)
    for place, weight_N in enumerate(weight_DN):
        expected = by_sklearn(truth_N, probabilities_NC, weight_N)
        assert {name: found[name][place] for name in NAMES} == pytest.approx(expected)
    once = weighted_scores(truth_N, probabilities_NC, np.ones((1, len(truth_N)), int))
    assert {name: one[0] for name, one in once.items()} == pytest.approx(
        classification_scores(truth_N, probabilities_NC)
    )


@pytest.mark.slow
def test_intervals_resample_whole_groups():
    models = [drawn(seed) for seed in (1, 2, 3)]
    group_N = np.arange(150) // 5  # 30 groups, the same ones for each model, in other orders
    orders = [np.random.default_rng(seed).permutation(150) for seed in (1, 2, 3)]
    samples = [
        Sample(truth=truth_N[order], probabilities=probabilities_NC[order], units=group_N[order] + 100)
        for (truth_N, probabilities_NC), order in zip(models, orders, strict=True)
    ]
    found = case_intervals(samples, draws=60)
    generator, means = np.random.default_rng(0), []
    for count_G in generator.multinomial(30, np.full(30, 1 / 30), 60):
        scores = [by_sklearn(one.truth, one.probabilities, count_G[one.units - 100]) for one in samples]
        means.append([np.mean([one[name] for one in scores]) for name in NAMES])
    expected = np.quantile(means, [0.025, 0.975], axis=0).T
    for name, ends in zip(NAMES, expected, strict=True):
        assert found[name] == pytest.approx(tuple(ends))


def test_groups_widen_the_interval():
    truth_N, probabilities_NC = (np.repeat(one, 6, axis=0) for one in drawn(4, cases=40))
    alone, grouped = (
        case_intervals([Sample(truth=truth_N, probabilities=probabilities_NC, units=units)])["acc"]
        for units in (np.arange(240), np.arange(240) // 6)
    )
    assert grouped[1] - grouped[0] > 2 * (alone[1] - alone[0])


def test_draw_without_any_case():
    truth_N, probabilities_NC = drawn(6, cases=20)
    found = weighted_scores(truth_N, probabilities_NC, np.zeros((1, 20), int))
    assert all(np.isnan(found[name]).all() for name in NAMES)
    folds = [np.arange(4), np.arange(4, 20)]  # some draws have no case of the small fold
    samples = [Sample(truth=truth_N[own], probabilities=probabilities_NC[own], units=own) for own in folds]
    low, high = case_intervals(samples)["acc"]
    assert 0 <= low < high <= 1


def test_few_groups_and_lost_classes():
    truth_N, probabilities_NC = drawn(5)
    few = case_intervals([Sample(truth=truth_N, probabilities=probabilities_NC, units=np.arange(150) % 9)])
    assert few == dict.fromkeys(NAMES)
    rare_N = np.zeros(60, int)
    rare_N[:2] = 1
    found = case_intervals([Sample(truth=rare_N, probabilities=probabilities_NC[:60, :2], units=np.arange(60))])
    assert found["auc_ovr"] is found["macro_f1"] is None  # every seventh resample has no case of the second class
    assert found["acc"] is not None
