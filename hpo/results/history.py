"""The training history as CSV, JSON, JSON lines and log."""

from __future__ import annotations

import time
from collections.abc import Mapping

from hpo.core.records import Evaluation
from hpo.results.plain import csv_text, iso, json_line, json_text

COLUMNS = (
    "train_loss",
    "train_acc",
    "val_loss",
    "val_acc",
    "val_auc",
    "val_kappa",
    "val_macro_f1",
    "val_bal_acc",
    "val_bal_acc_adj",
)
"""The report step's column order; other metrics follow."""

LINE_KEYS = {
    "val_acc": "val_acc",
    "kappa_quadratic": "val_kappa",
    "macro_f1": "val_macro_f1",
    "macro_recall": "val_bal_acc",
    "auc_ovr": "val_auc",
}
"""The keys of trial logs, with the metrics they contain."""


def history_rows(evaluation: Evaluation) -> list[dict[str, object]]:
    """Returns one row per epoch: `epoch`, then every metric of any epoch, None if an epoch lacks it."""
    seen = dict.fromkeys(name for report in evaluation.reports for name in report.metrics)
    names = [name for name in dict.fromkeys((*COLUMNS, *seen)) if name in seen and name != "epoch"]  # the step is it
    return [
        {"epoch": report.step, **{name: report.metrics.get(name) for name in names}} for report in evaluation.reports
    ]


def history_csv(evaluation: Evaluation) -> str:
    """Returns `train_history.csv`."""
    rows = history_rows(evaluation)
    return csv_text(list(rows[0]), rows)


def history_json(evaluation: Evaluation) -> str:
    """Returns `train_history.json`."""
    return json_text(history_rows(evaluation))


def known_metrics(metrics: Mapping[str, float | None]) -> dict[str, float | None]:
    """Returns the metrics of `LINE_KEYS`, None for a missing one."""
    return {key: metrics.get(name) for key, name in LINE_KEYS.items()}


def history_lines(evaluation: Evaluation) -> str:
    """Returns `ray_hpo_<trial>.jsonl`: one JSON object per epoch, with the time of its report."""
    lines = []
    for report in evaluation.reports:
        known = {
            "trial_name": f"hpo_{evaluation.job.trial}",
            "timestamp": iso(report.at),
            "epoch": report.step,
            **known_metrics(report.metrics),
        }
        others = {name: value for name, value in report.metrics.items() if name not in known}
        lines.append(json_line({**known, **others}))
    return "".join(lines)


def log_text(evaluation: Evaluation) -> str:
    """Returns a `run.log` made from the reports, for a training without one; in local time, like the worker's."""
    budget = evaluation.job.budget
    lines = []
    for report in evaluation.reports:
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(report.at))
        values = "  ".join(
            f"{name} {'-' if value is None else f'{value:.4f}'}" for name, value in report.metrics.items()
        )
        lines.append(f"{stamp} [INFO] epoch {report.step}/{budget}  {values}\n")
    return "".join(lines)
