"""The metrics of a classifier's predictions.

Shapes: N cases, C classes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.metrics import cohen_kappa_score, f1_score, recall_score, roc_auc_score

Labels = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def classification_metrics(truth_N: Labels, probability_NC: Floats) -> dict[str, float | None]:
    """Returns the metrics of the validation cases in display order.

    scikit-learn always gets the full list of classes: otherwise it renumbers those that occur, and a kappa with
    quadratic weights would treat A and C as neighbors.

    Args:
        truth_N: (N,) true classes 0 .. C-1; at least one case.
        probability_NC: (N, C) rows that sum to 1.

    Returns:
        `val_loss` (cross-entropy), `val_acc`, `val_kappa` (Cohen's, quadratic weights), `val_macro_f1` (a class that
        neither occurs nor is predicted counts 0), `val_auc` (one class against the rest; None if a class
        does not occur),
        `val_bal_acc` (mean recall of all classes), `val_bal_acc_adj` (the same with chance at 0).
    """
    classes = np.arange(probability_NC.shape[1])
    predicted_N = probability_NC.argmax(axis=1)
    recall = float(recall_score(truth_N, predicted_N, labels=classes, average="macro", zero_division=0))
    chance = 1 / len(classes)
    return {
        "val_loss": _cross_entropy(truth_N, probability_NC),
        "val_acc": float((predicted_N == truth_N).mean()),
        "val_kappa": _kappa(truth_N, predicted_N, classes),
        "val_macro_f1": float(f1_score(truth_N, predicted_N, labels=classes, average="macro", zero_division=0)),
        "val_auc": _auc(truth_N, probability_NC, classes),
        "val_bal_acc": recall,
        "val_bal_acc_adj": (recall - chance) / (1 - chance),
    }


def _cross_entropy(truth_N: Labels, probability_NC: Floats) -> float:
    """Returns the mean of -log p(truth), with p bounded away from 0 by the smallest step of a float at 1."""
    chosen_N = probability_NC[np.arange(len(truth_N)), truth_N]
    return float(-np.log(np.maximum(chosen_N, np.finfo(np.float64).eps)).mean())


def _kappa(truth_N: Labels, predicted_N: Labels, classes: Labels) -> float:
    """Returns Cohen's kappa with quadratic weights.

    It is 0 / 0 if truth and predictions are all the same class, because chance agreement is perfect too. That becomes
    0,
    since a metric must be a number.
    """
    if len(np.union1d(truth_N, predicted_N)) == 1:
        return 0.0
    return float(cohen_kappa_score(truth_N, predicted_N, labels=classes, weights="quadratic"))


def _auc(truth_N: Labels, probability_NC: Floats, classes: Labels) -> float | None:
    """Returns the mean AUC of each class against the rest; None if a class does not occur.

    A mean over fewer classes would be a different quantity with the same name.
    """
    if len(np.unique(truth_N)) < len(classes):
        return None
    return float(np.mean([roc_auc_score(truth_N == label, probability_NC[:, label]) for label in classes]))
