"""The results as the users' report step reads them: by a reader that knows nothing of this package."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest
from PIL import Image
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score, recall_score, roc_auc_score

from hpo.results import write_assets


def read(folder: Path) -> dict[str, float]:
    """Reads one directory: macro F1 from the classification report, everything else from its own key."""
    summary = json.loads((folder / "summary.json").read_text())
    metrics = json.loads((folder / "metrics" / "val_metrics.json").read_text())
    report = metrics["classification_report"]
    assert summary["run_id"] == folder.name
    assert isinstance(summary["seed"], int)
    assert {"precision", "recall", "f1-score", "support"} <= set(report["weighted avg"])
    return {
        "seed": summary["seed"],
        "accuracy": float(metrics["acc"]),
        "kappa": float(metrics["kappa_quadratic"]),
        "macro_f1": float(report["macro avg"]["f1-score"]),
        "recall": float(report["macro avg"]["recall"]),
        "auc": float(metrics["auc_ovr"]),
    }


def test_numbers_match_their_predictions(written):
    for folder in written[1]:
        with (folder / "val_predictions.csv").open() as file:
            rows = list(csv.DictReader(file))
        truth, said = ([int(row[name]) for row in rows] for name in ("y_true", "y_pred"))
        odds = [[float(row[f"p_{name}"]) for name in "ABCD"] for row in rows]
        found = read(folder)
        assert found["accuracy"] == pytest.approx(accuracy_score(truth, said))
        assert found["kappa"] == pytest.approx(cohen_kappa_score(truth, said, weights="quadratic", labels=[1, 2, 3, 4]))
        assert found["macro_f1"] == pytest.approx(f1_score(truth, said, average="macro"))
        assert found["recall"] == pytest.approx(recall_score(truth, said, average="macro"))
        assert found["auc"] == pytest.approx(roc_auc_score(truth, odds, multi_class="ovr"))


def test_seed_table_matches_the_report_step(written, tmp_path):
    _, folders = written
    runs = sorted(map(read, folders), key=lambda run: run["seed"])
    assert [run["seed"] for run in runs] == [42, 43, 44]
    write_assets(folders, tmp_path / "report", prefix="density", ddof=0)
    with (tmp_path / "report" / "density_metrics.csv").open() as file:
        table = {row["metric"]: row for row in csv.DictReader(file)}
    names = {
        "accuracy": "accuracy",
        "kappa": "quadratic kappa",
        "macro_f1": "macro F1",
        "auc": "AUC (one against the rest)",
    }
    for key, name in names.items():
        values = [run[key] for run in runs]
        mean = math.fsum(values) / 3
        assert float(table[name]["mean"]) == pytest.approx(mean)
        assert float(table[name]["sigma"]) == pytest.approx(math.sqrt(math.fsum((x - mean) ** 2 for x in values) / 3))


def test_figures_exist_and_are_png(written):
    for folder in written[1]:
        for name in ("train_history.png", "metrics/val_metrics.png", "metrics/roc.png"):
            with Image.open(folder / name) as image:
                image.verify()
                assert min(image.size) > 600


def test_no_checkpoint_is_left(written):
    for folder in written[1]:
        assert not list(folder.rglob("checkpoint*"))
