"""The figures of a replicate, suitable for print, color-blind readers and grayscale."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
import matplotlib.style
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator, PercentFormatter

from hpo.core.records import Evaluation, Metrics, Objective
from hpo.results.metrics import classifier_metrics
from hpo.results.winner import Winner
from hpo.training.predictions import Predictions
from hpo.training.units import UnitPredictions

LOOKS = (("#0072B2", "o", "-"), ("#D55E00", "s", "--"), ("#009E73", "^", "-."), ("#CC79A7", "D", ":"))
"""Colors by Okabe and Ito, each with its own marker and line style."""

GREY = "#555555"
DPI = 200
MAX_ROWS = 40
"""Maximum metrics in a figure's table; the files have all."""

MAX_CELLS = 25
"""Maximum classes of a confusion matrix with counts; larger ones show only the shading."""

DATES = {"pdf": "CreationDate", "svg": "Date"}
"""Metadata that hold the time of writing, by format; they are left out, so that files do not depend on it."""

SHOWN = (("accuracy", "acc"), ("quadratic κ", "kappa_quadratic"), ("macro-F1", "macro_f1"), ("AUC", "auc_ovr"))
"""The metrics under a confusion matrix, by key in `val_metrics.json`."""


def history_png(path: Path, winner: Winner, evaluation: Evaluation) -> None:
    """Draws the losses on the left and the objective's metric, with the accuracies, on the right."""
    names = list(dict.fromkeys(name for report in evaluation.reports for name in report.metrics))
    metric = winner.objective.metric
    labels = {name: winner.objective.label(name) for name in names}
    losses = sorted((name for name in names if name.endswith("loss")), key=lambda name: name != metric)
    usual = ("val_loss", "train_loss")
    losses = sorted(set(losses).intersection(usual), key=usual.index) or losses
    wanted = dict.fromkeys((metric, metric.replace("val_", "train_", 1), "val_acc", "train_acc"))
    right = [name for name in wanted if name in names and name not in losses]
    panels = [shown for shown in (losses, right) if shown]
    with drawing():
        figure = Figure(figsize=(4.8 * len(panels) + 0.4, 4.2), layout="constrained")
        for axis, shown in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            only = labels[shown[0]] if len(shown) == 1 else "metric"
            whole = "loss" if shown is losses and only in ("metric", shown[0]) else only
            _curves(axis, whole, {name: labels[name] for name in shown}, evaluation)
        where = _where(evaluation, f"at epoch {evaluation.step} of {evaluation.job.budget}", "mean")
        score = f"{winner.objective.label()} {evaluation.value:.4g} {where}"
        save(figure, path, f"{title(winner, evaluation, 44 * len(panels))}\n{score}", winner.formats)


def metrics_png(
    path: Path, winner: Winner, evaluation: Evaluation, metrics: Mapping[str, object], predictions: Predictions | None
) -> None:
    """Draws the confusion matrix of the selected epoch; without predictions, a table of its metrics."""
    counts = metrics.get("confusion_matrix")
    with drawing():
        if predictions is None or counts is None:
            chosen = _chosen(evaluation.metrics, winner.objective)
            labelled = {winner.objective.label(name): value for name, value in chosen.items()}
            figure = _table(labelled if len(labelled) == len(chosen) else chosen, len(evaluation.metrics))
        else:
            figure = _confusion(np.asarray(counts), predictions, metrics)
        where = _where(evaluation, f"at epoch {evaluation.step}", "mean" if predictions is None else "pooled")
        save(figure, path, f"{title(winner, evaluation, 40)}\nvalidation {where}", winner.formats)


def unit_metrics_png(path: Path, winner: Winner, evaluation: Evaluation, units: UnitPredictions) -> None:
    """Draws the confusion matrix over units of the selected epoch."""
    metrics = classifier_metrics(units.predictions)
    with drawing():
        figure = _confusion(np.asarray(metrics["confusion_matrix"]), units.predictions, metrics)
        epoch = _where(evaluation, f"at epoch {evaluation.step}", "pooled")
        where = f"per {units.units.name} ({units.units.aggregate}), {epoch}"
        save(figure, path, f"{title(winner, evaluation, 40)}\nvalidation {where}", winner.formats)


def _curves(axis: Axes, label: str, labels: Mapping[str, str], evaluation: Evaluation) -> None:
    """Draws curves.

    Args:
        axis: where they are drawn.
        label: what the axis shows.
        labels: what the legend calls the metrics, by their names.
        evaluation: record of the training.
    """
    epochs = [report.step for report in evaluation.reports]
    for name, (colour, marker, line) in zip(labels, LOOKS, strict=False):  # more could not be distinguished
        values = [_number(report.metrics.get(name)) for report in evaluation.reports]
        axis.plot(
            epochs,
            values,
            line,
            color=colour,
            marker=marker,
            markersize=5,
            linewidth=1.8,
            label=labels[name],
            markevery=max(1, len(epochs) // 12),
        )
    if evaluation.step is not None:
        chosen = _number(evaluation.step)
        axis.axvline(chosen, color=GREY, linewidth=1.2, linestyle=(0, (1, 2)), zorder=0, label="selected epoch")
    axis.set_xlabel("epoch")
    axis.set_ylabel(label)
    beside = max(0.5, 0.02 * (epochs[-1] - epochs[0]))
    axis.set_xlim(epochs[0] - beside, epochs[-1] + beside)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.grid(axis="y", color="#dddddd", linewidth=0.8)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, frameon=False, fontsize=10, handlelength=3.4)


def _confusion(counts_CC: npt.NDArray[np.int64], predictions: Predictions, metrics: Mapping[str, object]) -> Figure:
    """Draws counts and percentages of each row; the shading is the percentage, so that rare classes are visible."""
    totals_C1 = counts_CC.sum(axis=1, keepdims=True)
    shares_CC = counts_CC / np.maximum(totals_C1, 1)
    classes = len(counts_CC)
    side = max(5.0, 0.95 * min(classes, MAX_CELLS) + 1.6)
    figure = Figure(figsize=(side + 0.9, side + 0.9), layout="constrained")
    axis = figure.subplots()
    shades = axis.imshow(shares_CC, cmap="Blues", vmin=0.0, vmax=1.0)
    scale = figure.colorbar(shades, ax=axis, shrink=0.7, format=PercentFormatter(1.0))
    scale.set_label("share of the true class", fontsize=12)
    for (row, column), count in np.ndenumerate(counts_CC if classes <= MAX_CELLS else np.zeros((0, 0))):
        share = f"{100 * shares_CC[row, column]:.0f} %" if totals_C1[row, 0] else "-"
        ink = "white" if shares_CC[row, column] > 0.55 else "black"
        axis.text(
            column,
            row,
            f"{count}\n{share}",
            ha="center",
            va="center",
            color=ink,
            fontsize=13,
            linespacing=1.35,
            fontweight="bold" if row == column else "normal",
        )
    ticks = [
        name[:14] if name == str(label) else f"{name[:14]} ({label})"
        for name, label in zip(predictions.names, predictions.labels, strict=True)
    ]
    every = math.ceil(classes / MAX_CELLS)
    sized = [f"{tick}\nn = {n}" for tick, n in zip(ticks, totals_C1[:, 0], strict=True)]
    axis.set_xticks(range(0, classes, every), ticks[::every])
    axis.set_yticks(range(0, classes, every), sized[::every])
    axis.tick_params(length=0, labelsize=12)
    if classes <= MAX_CELLS:  # separates cells with white shading
        axis.set_xticks(np.arange(classes - 1) + 0.5, minor=True)
        axis.set_yticks(np.arange(classes - 1) + 0.5, minor=True)
        axis.tick_params(which="minor", length=0)
        axis.grid(which="minor", color=GREY, linewidth=0.6)
    axis.set_xlabel("predicted", fontsize=13)
    texts = [f"{word} {_text(metrics.get(key), '.3f', 'undefined')}" for word, key in SHOWN]
    figure.supxlabel(f"{texts[0]},  {texts[1]}\n{texts[2]},  {texts[3]}", fontsize=13, linespacing=1.3)
    axis.set_ylabel("true", fontsize=13)
    return figure


def _chosen(metrics: Metrics, objective: Objective) -> Metrics:
    """Returns the metrics that a figure shows: all, or objective, constraints and the first others."""
    if len(metrics) <= MAX_ROWS:
        return metrics
    names = dict.fromkeys((objective.metric, *objective.constraints, *metrics))
    return {name: metrics[name] for name in [name for name in names if name in metrics][:MAX_ROWS]}


def _table(metrics: Metrics, count: int) -> Figure:
    """Draws a table of names and values, and how many of the `count` metrics are omitted."""
    rows = [(name if len(name) <= 34 else f"{name[:33]}…", _text(value)) for name, value in metrics.items()]
    if count > len(metrics):
        rows.append((f"… and {count - len(metrics)} more in val_metrics.json", ""))
    figure = Figure(figsize=(5.0, 1.6 + 0.34 * len(rows)), layout="constrained")
    axis = figure.subplots()
    axis.set_axis_off()
    axis.set(xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5))
    for row, (name, value) in enumerate(rows):
        if row:
            axis.axhline(row - 0.5, color="#dddddd", linewidth=0.8)
        axis.text(0.02, row, name, va="center", fontsize=12)
        axis.text(0.98, row, value, va="center", ha="right", fontsize=12)
    return figure


def title(winner: Winner, evaluation: Evaluation, width: int) -> str:
    """Returns the name of a figure's training, wrapped at `width` characters."""
    where = f", fold {evaluation.job.fold}" if evaluation.job.fold else ""
    what = f"trial {winner.number}, seed {evaluation.job.seed}{where}"
    whole = f"{winner.study}, {what}"
    return whole if len(whole) <= width else f"{textwrap.fill(winner.study, width)}\n{what}"


def _where(evaluation: Evaluation, epoch: str, how: str) -> str:
    """Returns the origin of a value: the selected epoch, or those of all folds.

    Args:
        evaluation: record of the training, or the mean over its folds.
        epoch: the selected epoch in words.
        how: how the folds were brought together: mean or pooled.
    """
    return f"{how} over {len(evaluation.folds)} folds, each at its selected epoch" if evaluation.folds else epoch


def _number(value: float | None) -> float:
    """Returns `value`, or NaN for None and for values that would overflow the axis."""
    return math.nan if value is None or abs(value) > 1e100 else value


def _text(value: object, form: str = ".4g", nothing: str = "-") -> str:
    return format(value, form) if isinstance(value, int | float) and math.isfinite(value) else nothing


def save(figure: Figure, path: Path, title: str | None, formats: Sequence[str]) -> None:
    """Saves a figure as PNG and in other formats, the same bytes each time.

    Args:
        figure: the figure to save.
        path: path of the PNG file; the others differ in their suffix.
        title: text above the figure; None: it has one.
        formats: formats beside PNG.
    """
    if title is not None:
        figure.suptitle(title, fontsize=13)
    layout = figure.get_layout_engine()
    if isinstance(layout, ConstrainedLayoutEngine):
        layout.set(w_pad=0.12, h_pad=0.12)
    figure.savefig(path, dpi=DPI)
    for name in formats:
        if name != "png":
            figure.savefig(path.with_suffix(f".{name}"), dpi=DPI, metadata={DATES[name]: None})


@contextmanager
def drawing() -> Iterator[None]:
    """Uses matplotlib's default style instead of the user's; a `$` in a name does not start a formula.

    Text in PDF files stays text in an embedded font, as publishers ask for.
    """
    with (
        mpl.style.context("default"),
        mpl.rc_context({"text.parse_math": False, "pdf.fonttype": 42, "svg.hashsalt": "hpo"}),
    ):
        yield
