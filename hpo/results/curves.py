"""Two more figures of a replicate: ROC curves of its classes, and heat maps of the model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap
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

MOST_OPAQUE = 0.7
"""How opaque the heat is where it is 1; it is transparent where it is 0."""


def roc_png(path: Path, predictions: Predictions, title: str, formats: Sequence[str] = ()) -> bool:
    """Draws each class against the rest; for two classes only the second. Returns whether there was anything to draw.

    A class without cases, or with all of them, has no curve.

    Args:
        path: path of the PNG file.
        predictions: predictions of the selected epoch.
        title: text above the figure.
        formats: formats beside PNG.
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
        axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect=1)
        axis.set(xlabel="false positive rate", ylabel="true positive rate")
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(loc="lower right", frameon=False, fontsize=10, handlelength=3.0)
        save(figure, path, title, formats)
    return True


def look(place: int) -> tuple[str, str]:
    """Returns color and line style of a curve; those of the first `MAX_CURVES` curves differ.

    Args:
        place: number of the curve, from 0.
    """
    colors = (*(color for color, _, _ in LOOKS), *MORE_COLORS)
    return colors[place % len(colors)], LOOKS[(place + place // len(colors)) % len(LOOKS)][2]


def panels_png(path: Path, panels: Panels, title: str, formats: Sequence[str] = ()) -> None:
    """Draws up to `MAX_CASES` cases, image and heat map side by side.

    Args:
        path: path of the PNG file.
        panels: the images and heat maps.
        title: text above the figure.
        formats: formats beside PNG.
    """
    count = min(len(panels.names), MAX_CASES)
    rows = math.ceil(count / COLUMNS)
    with drawing():
        figure = Figure(figsize=(4.6 * min(COLUMNS, count), 2.75 * rows + 0.7), layout="constrained")
        cells = figure.subfigures(rows, min(COLUMNS, count), squeeze=False).ravel()
        for place in range(count):
            _pair(cells[place], panels, place)
        save(figure, path, title, formats)


def panel_png(path: Path, panels: Panels, place: int, formats: Sequence[str] = ()) -> None:
    """Draws one case.

    Args:
        path: path of the PNG file.
        panels: the images and heat maps.
        place: number of the case among them.
        formats: formats beside PNG.
    """
    with drawing():
        figure = Figure(figsize=(4.8, 2.9), layout="constrained")
        _pair(figure, panels, place)
        save(figure, path, None, formats)


def _pair(figure: Figure, panels: Panels, place: int) -> None:
    image_HW = panels.image[place]
    plain, overlaid = figure.subplots(1, 2)
    for axis in (plain, overlaid):
        axis.imshow(image_HW, cmap="gray", vmin=0, vmax=max(1e-6, float(image_HW.max())))
        axis.set_axis_off()
    heat_HW = panels.heat[place]
    overlaid.imshow(heat_HW, cmap="inferno", vmin=0, vmax=1, alpha=MOST_OPAQUE * heat_HW)
    if not heat_HW.any():
        note = "empty map:\nno pixel has\nweight above 0"
        box = {"facecolor": "white", "edgecolor": GREY, "alpha": 0.85}
        overlaid.text(0.5, 0.5, note, transform=overlaid.transAxes, ha="center", va="center", fontsize=8, bbox=box)
    beside = overlaid.inset_axes((1.05, 0.08, 0.06, 0.84))
    scale = figure.colorbar(ScalarMappable(cmap=_scale()), cax=beside, ticks=(0, 0.5, 1))
    scale.set_label("relative weight", fontsize=8)
    scale.ax.tick_params(labelsize=8)
    figure.suptitle(panels.captions[place], fontsize=10)


def _scale() -> ListedColormap:
    """Returns the colors of heat over black, where an image is dark, from 0 to 1."""
    heat_N = np.linspace(0, 1, 256)
    return ListedColormap(mpl.colormaps["inferno"](heat_N)[:, :3] * (MOST_OPAQUE * heat_N[:, None]))
