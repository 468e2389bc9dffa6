"""The metrics of a classifier, against their definitions."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score, f1_score, roc_auc_score

from hpo.results.metrics import classifier_metrics, predictions_csv
from hpo.training.predictions import Predictions


def predictions(truth: list[int], classes: int = 4, seed: int = 0) -> Predictions:
    odds = np.random.default_rng(seed).random((len(truth), classes))
    return Predictions.of(
        truth=truth,
        probabilities=odds / odds.sum(axis=1, keepdims=True),
        labels=range(1, classes + 1),
        names="ABCDEF"[:classes],
        cases={},
    )


@pytest.mark.slow
@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.integers(0, 5))
def test_metrics_are_finite_and_in_range(truth: list[int], seed: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = classifier_metrics(predictions(truth, seed=seed))
    for name, low in (("acc", 0), ("kappa_quadratic", -1), ("macro_f1", 0), ("bal_acc", 0), ("bal_acc_adj", -1 / 3)):
        value = found[name]
        assert isinstance(value, float)
        assert low - 1e-12 <= value <= 1
    assert (found["auc_ovr"] is None) == (len(set(truth)) < 4)
    assert np.array(found["confusion_matrix"]).sum() == len(truth)


@pytest.mark.slow
@given(st.lists(st.integers(0, 3), min_size=4, max_size=60).map(lambda truth: [0, 1, 2, 3, *truth]), st.integers(0, 5))
def test_metrics_match_scikit_learn(truth: list[int], seed: int) -> None:
    given_ = predictions(truth, seed=seed)
    found, said = classifier_metrics(given_), given_.probabilities.argmax(axis=1)
    expected = {
        "acc": float(np.mean(said == np.array(truth))),
        "kappa_quadratic": cohen_kappa_score(truth, said, weights="quadratic"),
        "auc_ovr": roc_auc_score(truth, given_.probabilities, multi_class="ovr"),
        "macro_f1": f1_score(truth, said, average="macro", labels=range(4), zero_division=0),
        "bal_acc": balanced_accuracy_score(truth, said),
        "bal_acc_adj": balanced_accuracy_score(truth, said, adjusted=True),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-12), name


def test_binary_auc_is_of_the_second_class() -> None:
    given_ = predictions([0, 1, 1, 0, 1], classes=2)
    assert classifier_metrics(given_)["auc_ovr"] == roc_auc_score([0, 1, 1, 0, 1], given_.probabilities[:, 1])


def test_kappa_of_one_class_is_zero() -> None:
    one = Predictions.of(truth=[2, 2], probabilities=[[0, 0, 1, 0]] * 2, labels=(1, 2, 3, 4), names="ABCD", cases={})
    assert classifier_metrics(one)["kappa_quadratic"] == 0.0  # the report step cannot read a null here


def test_raw_label_columns_are_kept() -> None:
    found = Predictions.of(
        truth=[0],
        probabilities=[[0.75, 0.25]],
        labels=(1, 2),
        names=("A", "A"),
        cases={"raw_label": ["A, dense\n"], "view": ["CC"]},
    )
    assert predictions_csv(found) == 'raw_label,view,y_true,y_pred,p_1,p_2\n"A, dense\n",CC,1,1,0.75,0.25\n'
