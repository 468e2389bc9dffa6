"""The pictures of a replicate, for print: told apart without colour, in colours that colour-blind readers tell apart."""

from __future__ import annotations

import logging
import math
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hpo.records import Evaluation
from hpo.results.winner import Winner
from hpo.training.predictions import Predictions

LOOKS = (("#0072B2", "o", "-"), ("#D55E00", "s", "--"), ("#009E73", "^", "-."), ("#CC79A7", "D", ":"))
"""Colours by Okabe and Ito, each with a marker and a line of its own."""

GREY = "#555555"
DPI = 200
SHOWN = (("accuracy", "acc"), ("quadratic κ", "kappa_quadratic"), ("macro-F1", "macro_f1"), ("AUC", "auc_ovr"))


def history_png(path: Path, winner: Winner, evaluation: Evaluation) -> None:
    """Draws the losses on the left and the objective's metric, with the accuracies, on the right."""
    names = list(dict.fromkeys(name for report in evaluation.reports for name in report.metrics))
    losses = [name for name in names if name.endswith("loss")]
    losses = [name for name in ("train_loss", "val_loss") if name in losses] or losses[: len(LOOKS)]
    twin = winner.objective.metric.replace("val_", "train_", 1)
    right = [name for name in (winner.objective.metric, twin, "val_acc", "train_acc") if name in names]
    panels = [("Loss", losses), (_headline(right), right)]
    panels = [(title, shown) for title, shown in panels if set(shown) - set(losses) or shown is losses and shown]
    with _drawing():
        figure = Figure(figsize=(4.7 * max(len(panels), 1) + 0.4, 4.1), layout="constrained")
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for axis, (title, shown) in zip(axes, panels, strict=True):
            _curves(axis, title, list(dict.fromkeys(shown)), evaluation)
        figure.suptitle(_title(winner, evaluation, 48 * len(panels)), fontsize=12)
        figure.savefig(path, dpi=DPI)


def metrics_png(
    path: Path, winner: Winner, evaluation: Evaluation, metrics: Mapping[str, object], predictions: Predictions | None
) -> None:
    """Draws the confusion matrix of the selected epoch; without predictions, a table of its metrics."""
    with _drawing():
        counts = metrics.get("confusion_matrix")
        if predictions is None or counts is None:
            figure = _table(evaluation.metrics)
        else:
            figure = _confusion(np.asarray(counts), predictions, metrics)
        figure.suptitle(_title(winner, evaluation, 44), fontsize=12)
        figure.savefig(path, dpi=DPI)
