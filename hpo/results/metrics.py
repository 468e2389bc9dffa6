"""The metrics of the selected epoch: of a classifier from its predictions, or the trainable's own."""

from __future__ import annotations

from hpo.core.records import Evaluation
from hpo.results.plain import csv_text
from hpo.stats.classification import UNIT, auc_ovr, quadratic_kappa
from hpo.training.predictions import Predictions
from hpo.training.units import by_unit


def selected_metrics(evaluation: Evaluation, predictions: Predictions | None) -> dict[str, object]:
    """Returns the content of `val_metrics.json` and `best_metrics.json`, both of the selected epoch.

    Args:
        evaluation: evaluation of the replicate.
        predictions: predictions of the selected epoch; without them (or without cases, or with a single class) the
            metrics have the trainable's own names.
    """
    if predictions is None or not len(predictions.truth) or len(predictions.labels) < 2:
        return {"epoch": evaluation.epoch, **evaluation.metrics}
    return {
        "epoch": evaluation.epoch,
        **classifier_metrics(predictions),
        "loss": evaluation.metrics.get("val_loss"),
        **unit_metrics(predictions),
        "val_rows": val_rows(predictions),
    }


def classifier_metrics(predictions: Predictions) -> dict[str, object]:
    """Returns metrics over all C classes, whether they occur or not, as the report step defines them.

    A class without cases has a recall and an F1 of 0, so macro averages always divide by C. The AUC is None if it is
    undefined, because one class against the rest needs cases of both.

    Args:
        predictions: predictions with at least one case and two classes.
    """
    from sklearn.metrics import (  # takes a second, needed only by a promotion
        accuracy_score,
        classification_report,
        confusion_matrix,
        recall_score,
    )

    truth_N, predicted_N = predictions.truth, predictions.probabilities.argmax(axis=1)
    classes = list(range(len(predictions.labels)))
    report = classification_report(
        truth_N,
        predicted_N,
        labels=classes,
        target_names=[str(label) for label in predictions.labels],
        output_dict=True,
        zero_division=0,
    )
    balanced = float(recall_score(truth_N, predicted_N, labels=classes, average="macro", zero_division=0))
    chance = 1 / len(classes)
    return {
        "acc": float(accuracy_score(truth_N, predicted_N)),
        "kappa_quadratic": quadratic_kappa(truth_N, predicted_N, classes),
        "auc_ovr": auc_ovr(truth_N, predictions.probabilities),
        "macro_f1": float(report["macro avg"]["f1-score"]),
        "bal_acc": balanced,
        "bal_acc_adj": (balanced - chance) / (1 - chance),
        "confusion_matrix": confusion_matrix(truth_N, predicted_N, labels=classes).tolist(),
        "classification_report": report,
    }


def unit_metrics(predictions: Predictions) -> dict[str, object]:
    """Returns the same metrics over units, with the prefix `unit_`, and what the units are; empty without units.

    Args:
        predictions: predictions for single cases.
    """
    found = by_unit(predictions)
    if found is None:
        return {}
    scores = classifier_metrics(found.predictions) if len(found.predictions.truth) else {}
    return {
        "unit": found.units.name,
        "unit_aggregate": found.units.aggregate,
        "units": len(found.predictions.truth),
        "units_left_out": list(found.left_out),
        **{f"{UNIT}{key}": value for key, value in scores.items()},
    }


def val_rows(predictions: Predictions) -> list[dict[str, object]]:
    """Returns one row per case: its columns, `raw_label`, `y_true` and `y_pred` as reader labels, `p_class_0` ..."""
    names = [f"p_class_{index}" for index in range(len(predictions.labels))]
    return _rows(predictions, names)


def predictions_csv(predictions: Predictions) -> str:
    """Returns `val_predictions.csv`: as `val_rows`, with the probabilities as `p_A` ... by the classes' names."""
    names = [f"p_{name}" for name in predictions.names]
    if len(set(names)) < len(names):
        names = [f"p_{label}" for label in predictions.labels]
    columns = [*dict.fromkeys((*predictions.cases, "raw_label", "y_true", "y_pred", *names))]
    return csv_text(columns, _rows(predictions, names))


def _rows(predictions: Predictions, names: list[str]) -> list[dict[str, object]]:
    predicted_N = predictions.probabilities.argmax(axis=1)
    rows = []
    for index, (true, predicted) in enumerate(zip(predictions.truth, predicted_N, strict=True)):
        label = predictions.labels[true]
        row: dict[str, object] = {name: column[index] for name, column in predictions.cases.items()}
        row.setdefault("raw_label", label)
        row |= {"y_true": label, "y_pred": predictions.labels[predicted]}
        row |= dict(zip(names, predictions.probabilities[index].tolist(), strict=True))
        rows.append(row)
    return rows
