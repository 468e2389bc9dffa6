"""Two more figures of a replicate: ROC curves of its classes, and heat maps of the model."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from hpo.results.pictures import GREY, LOOKS, drawing, save
from hpo.training.panels import Panels
from hpo.training.predictions import Predictions

MAX_CASES = 40
"""Maximum cases in one figure; each has its own figure too."""

MAX_CURVES = 12
"""Maximum classes with a curve in one figure."""

MORE_COLORS = ("#E69F00", "#56B4E9", "#000000", "#882255")
"""Colors of the classes after those of `LOOKS`."""

COLUMNS = 2
"""Panels per row; image and heat map form one panel."""


def roc_png(path: Path, predictions: Predictions, title: str) -> bool:
    """Draws each class against the rest; for two classes only the second. Returns whether there was anything to draw.

    A class without cases, or with all of them, has no curve.
    """
    from sklearn.metrics import roc_auc_score, roc_curve

    classes = range(len(predictions.labels)) if len(predictions.labels) > 2 else [1]
    known = [label for label in classes if len(np.unique(predictions.truth == label)) == 2]
    if not known:
        return False
    known = known[:MAX_CURVES]
    with drawing():
        figure = Figure(figsize=(5.2, 5.4), layout="constrained")
        axis = figure.subplots()
        axis.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (1, 2)))
        for place, label in enumerate(known):
            is_label = predictions.truth == label
            false_T, true_T, _ = roc_curve(is_label, predictions.probabilities[:, label])
            area = roc_auc_score(is_label, predictions.probabilities[:, label])
            colour, line = look(place)
            name = f"{predictions.names[label][:14]}  (AUC {area:.3f}, n = {int(is_label.sum())})"
            axis.plot(false_T, true_T, line, color=colour, linewidth=1.8, label=name, drawstyle="steps-post")
        axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="false positives", ylabel="true positives", aspect=1)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(loc="lower right", frameon=False, fontsize=10, handlelength=3.0)
        save(figure, path, title)
    return True


def look(place: int) -> tuple[str, str]:
    """Returns color and line style of a curve; those of the first `MAX_CURVES` curves differ.

    Args:
        place: number of the curve, from 0.
    """
    colors = (*(color for color, _, _ in LOOKS), *MORE_COLORS)
    return colors[place % len(colors)], LOOKS[(place + place // len(colors)) % len(LOOKS)][2]


def panels_png(path: Path, panels: Panels, title: str) -> None:
    """Draws up to `MAX_CASES` cases, image and heat map side by side."""
    count = min(len(panels.names), MAX_CASES)
    rows = math.ceil(count / COLUMNS)
    with drawing():
        figure = Figure(figsize=(4.6 * min(COLUMNS, count), 2.75 * rows + 0.7), layout="constrained")
        cells = figure.subfigures(rows, min(COLUMNS, count), squeeze=False).ravel()
        for place in range(count):
            _pair(cells[place], panels, place)
        save(figure, path, title)


def panel_png(path: Path, panels: Panels, place: int) -> None:
    """Draws one case."""
    with drawing():
        figure = Figure(figsize=(4.8, 2.9), layout="constrained")
        _pair(figure, panels, place)
        save(figure, path, None)


def _pair(figure: Figure, panels: Panels, place: int) -> None:
    image_HW = panels.image[place]
    plain, overlaid = figure.subplots(1, 2)
    for axis in (plain, overlaid):
        axis.imshow(image_HW, cmap="gray", vmin=0, vmax=max(1e-6, float(image_HW.max())))
        axis.set_axis_off()
    heat_HW = panels.heat[place]
    overlaid.imshow(heat_HW, cmap="inferno", vmin=0, vmax=1, alpha=0.7 * heat_HW)  # transparent where it is low
    figure.suptitle(panels.captions[place], fontsize=10)
