"""Figures of a search: its history, its values over each param, and how important the params are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hpo.core.formatting import param
from hpo.figures.report import COLORS
from hpo.study import Study, Trial
from hpo.study.space import Choice, Dimension

if TYPE_CHECKING:
    from hpo.figures.report import Figure

COLUMNS = 3
"""Panels per row."""

MARGIN = 0.05
"""Share of an axis that is free beside its ends."""

GREY = "#8a8a8a"
"""Color of pruned trials."""

LOOKS = {
    "complete": ("circle", COLORS[0]),
    "breaking a constraint": ("circle-open", COLORS[1]),
    "imported": ("square-open", COLORS[2]),
    "pruned": ("x-thin-open", GREY),
}
"""Marker symbol and color of a trial's value by what became of the trial."""


def history_figure(trials: Sequence[Trial], study: Study, metric: str) -> Figure:
    """Returns the value of each trial by its number, with a line at the best value so far.

    Args:
        trials: the trials in the order of their numbers.
        study: the study that was searched.
        metric: one of its objectives.
    """
    from plotly import graph_objects

    figure = graph_objects.Figure()
    known = [(one, value) for one in trials if (value := _value(one, study, metric)) is not None]
    for kind, (symbol, color) in LOOKS.items():
        shown = [(one, value) for one, value in known if _kind(one) == kind]
        if shown:
            figure.add_scatter(
                x=[one.number for one, _ in shown],
                y=[value for _, value in shown],
                mode="markers",
                name=kind,
                marker={"symbol": symbol, "color": color, "size": 9, "line": {"width": 2, "color": color}},
                hovertext=[_hover(one) for one, _ in shown],
            )
    steps = _best_so_far(known, study.objective.by_metric[metric])
    if steps:
        last = max(one.number for one in trials)
        figure.add_scatter(
            x=[number for number, _ in steps] + [last] * (last > steps[-1][0]),
            y=[value for _, value in steps] + [steps[-1][1]] * (last > steps[-1][0]),
            mode="lines",
            name="best so far",
            line={"shape": "hv", "color": "black"},
        )
    states = [one.state for one in trials]
    without = [f"{count} {state}" for state in ("failed", "running", "waiting") if (count := states.count(state))]
    head = f"{study.name}: {len(trials)} trials" + (f", without a value: {', '.join(without)}" if without else "")
    figure.update_layout(
        title=head,
        template="simple_white",
        xaxis_title="trial",
        yaxis_title=study.objective.label(metric),
        height=420,
        showlegend=True,
    )
    figure.update_yaxes(showgrid=True)
    return figure


def slices_figure(trials: Sequence[Trial], study: Study, metric: str) -> Figure:
    """Returns a panel for each param with the values of the complete trials over it.

    Args:
        trials: the trials of the study.
        study: the study that was searched.
        metric: one of its objectives.
    """
    from plotly.subplots import make_subplots

    space = study.space
    columns = min(COLUMNS, len(space))
    rows = math.ceil(len(space) / columns)
    figure = make_subplots(rows=rows, cols=columns, shared_yaxes=True, vertical_spacing=0.22 / rows)
    known = [(one, value) for one in trials if (value := _value(one, study, metric)) is not None]
    complete = [(one, value) for one, value in known if _kind(one) in ("complete", "imported")]
    for place, (name, dimension) in enumerate(space.items()):
        where = {"row": place // columns + 1, "col": place % columns + 1}
        shown = [(one, value) for one, value in complete if name in one.params]
        figure.add_scatter(
            x=[_position(one.params[name], dimension) for one, _ in shown],
            y=[value for _, value in shown],
            mode="markers",
            name=name,
            marker={"size": 8, "color": COLORS[0], "opacity": 0.7},
            hovertext=[_hover(one) for one, _ in shown],
            showlegend=False,
            **where,
        )
        figure.update_xaxes(title=name, **_axis(dimension), **where)
    figure.update_yaxes(title=study.objective.label(metric), col=1)
    figure.update_yaxes(showgrid=True)
    figure.update_layout(
        title=f"{study.name}: {len(complete)} complete trials by param",
        template="simple_white",
        height=120 + 260 * rows,
    )
    return figure


def importance_figure(importances: Mapping[str, float], study: Study, count: int) -> Figure:
    """Returns the importance of each param as a bar, the largest on top.

    Args:
        importances: importance by param; together they are 1.
        study: the study that was searched.
        count: number of trials that they were computed from.
    """
    from plotly import graph_objects

    ordered = sorted(importances.items(), key=lambda one: one[1])
    figure = graph_objects.Figure()
    figure.add_bar(
        x=[value for _, value in ordered],
        y=[name for name, _ in ordered],
        orientation="h",
        marker={"color": COLORS[0]},
        text=[f"{value:.2f}" for _, value in ordered],
    )
    figure.update_layout(
        title=f"{study.name}: importance of the params in {count} trials",
        template="simple_white",
        xaxis_title=f"importance for {study.objective.label()} (PED-ANOVA, best quarter)",
        height=160 + 32 * len(ordered),
    )
    figure.update_yaxes(type="category")
    return figure


def _value(one: Trial, study: Study, metric: str) -> float | None:
    """Returns a trial's value of an objective; None if it has none yet."""
    if one.state in ("running", "waiting", "failed"):
        return None
    if one.vector:
        return one.vector[study.objective.metrics.index(metric)]
    return one.value if metric == study.objective.metric else None


def _kind(one: Trial) -> str:
    return "breaking a constraint" if one.state == "complete" and not one.is_feasible else one.state


def _best_so_far(known: Sequence[tuple[Trial, float]], direction: str) -> list[tuple[int, float]]:
    """Returns number and value of each trial that was the best one by number, as an incumbent is chosen."""
    found: list[tuple[int, float]] = []
    for one, value in known:
        better = not found or (value > found[-1][1] if direction == "maximize" else value < found[-1][1])
        if better and _kind(one) == "complete":
            found.append((one.number, value))
    return found


def _hover(one: Trial) -> str:
    return "<br>".join([f"trial {one.number}", *(f"{name} = {param(value)}" for name, value in one.params.items())])


def _position(value: object, dimension: Dimension) -> object:
    return str(value) if isinstance(dimension, Choice) else value


def _axis(dimension: Dimension) -> dict[str, Any]:
    """Returns the arguments of the axis of a param: a log scale where values are drawn on one, names for choices."""
    if isinstance(dimension, Choice):
        names = [str(value) for value in dimension.values]
        return {"type": "category", "categoryorder": "array", "categoryarray": names}
    if not dimension.log:
        return {}
    low, high = math.log10(dimension.low), math.log10(dimension.high)
    return {"type": "log", "dtick": 1, "range": [low - MARGIN * (high - low), high + MARGIN * (high - low)]}
