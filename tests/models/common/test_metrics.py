from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from models.common.metrics import classification_metrics


def sure(predicted, classes=4):
    """Probabilities of 1 for the predicted classes."""
    return np.eye(classes)[predicted]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cases=st.integers(8, 60))
def test_metrics_equal_scikit_learns(seed, cases):
    rng = np.random.default_rng(seed)
    truth = np.concatenate([np.arange(4), rng.integers(4, size=cases - 4)])
    probability = rng.dirichlet(np.ones(4), size=cases)
    predicted = probability.argmax(1)
    assert classification_metrics(truth, probability) == pytest.approx(
        {
            "val_loss": sk.log_loss(truth, probability, labels=range(4)),
            "val_acc": sk.accuracy_score(truth, predicted),
            "val_kappa": sk.cohen_kappa_score(truth, predicted, weights="quadratic", labels=range(4)),
            "val_macro_f1": sk.f1_score(truth, predicted, average="macro", labels=range(4), zero_division=0),
            "val_auc": sk.roc_auc_score(truth, probability, multi_class="ovr"),
            "val_bal_acc": sk.balanced_accuracy_score(truth, predicted),
            "val_bal_acc_adj": sk.balanced_accuracy_score(truth, predicted, adjusted=True),
        }
    )


def test_metric_order_is_fixed():
    assert list(classification_metrics(np.array([0, 1]), sure([0, 1]))) == [
        "val_loss",
        "val_acc",
        "val_kappa",
        "val_macro_f1",
        "val_auc",
        "val_bal_acc",
        "val_bal_acc_adj",
    ]


def test_kappa_counts_absent_classes():
    found = classification_metrics(np.array([0, 0, 3, 3]), sure([0, 1, 3, 3]))
    # Disagreement 1 of 1 step squared, against (truth 2, 0, 0, 2) x (predicted 1, 1, 0, 2) / 4 by chance:
    # (2 * (1 * 1 + 2 * 9) + 2 * (1 * 9 + 1 * 4)) / 4 = 16.
    assert found["val_kappa"] == pytest.approx(1 - 1 / 16)


def test_absent_classes_leave_no_auc():
    truth = np.array([0, 0, 1, 1])
    found = classification_metrics(truth, sure([0, 1, 1, 1]))
    assert found["val_auc"] is None
    assert found["val_bal_acc"] == pytest.approx(1.5 / 4)
    assert found["val_bal_acc_adj"] == pytest.approx((1.5 / 4 - 1 / 4) / (3 / 4))
    assert found["val_macro_f1"] == pytest.approx((2 / 3 + 4 / 5) / 4)


def test_constant_predictions_score_chance():
    found = classification_metrics(np.array([0, 1, 2, 3]), np.full((4, 4), 0.25))
    assert found["val_kappa"] == pytest.approx(0.0)
    assert found["val_auc"] == pytest.approx(0.5)
    assert found["val_bal_acc_adj"] == pytest.approx(0.0)
    assert found["val_loss"] == pytest.approx(np.log(4))


def test_one_class_has_kappa_zero():
    found = classification_metrics(np.zeros(3, int), sure([0, 0, 0]))
    assert found["val_auc"] is None
    assert found["val_kappa"] == 0.0


def test_confident_errors_have_finite_loss():
    assert np.isfinite(classification_metrics(np.array([0]), sure([3]))["val_loss"])
