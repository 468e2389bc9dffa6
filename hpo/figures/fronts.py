"""The figure of a front: every candidate's values under every seed, in each pair of objectives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import combinations
from textwrap import wrap
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from hpo.figures.report import COLORS, MARKS, WIDTH

if TYPE_CHECKING:
    from hpo.figures.report import Figure

FAR_APART = 20
"""Ratio of the largest to the smallest value from which an axis is logarithmic."""


def front_figure(
    rows: Sequence[Mapping[str, Any]],
    objectives: Mapping[str, str],
    title: str,
    seeds: Sequence[int],
    warnings: Sequence[str] = (),
    labels: Mapping[str, str] = MappingProxyType({}),
) -> Figure:
    """Returns a figure with a panel for each pair of objectives.

    In a panel a candidate has a small mark for each seed, a large one at the mean with bars of one sigma, and lines
    from the mean to the seeds; an open diamond is its score. With two objectives a line of steps joins the front.

    Args:
        rows: plain values of the candidates, as `FrontReport.rows` gives them, the winner first.
        objectives: direction of each objective by metric.
        title: text above the figure; empty: none.
        seeds: seeds of the promotion.
        warnings: sentences below the title.
        labels: what the axes call metrics that are not called by their names.
    """
    from plotly.subplots import make_subplots

    pairs = list(combinations(objectives, 2))
    figure = make_subplots(rows=len(pairs), cols=1, vertical_spacing=0.12 / len(pairs))
    keys = [f"{metric}_seed_{seed}" for metric in objectives for seed in seeds]
    shown = [row for row in rows if any(row[key] is not None for key in keys)]
    for panel, (across, up) in enumerate(pairs, start=1):
        for index, row in enumerate(shown):
            _add_candidate(figure, panel, row, (across, up), seeds, COLORS[index % len(COLORS)])
        if len(objectives) == 2:
            _add_front(figure, [row for row in shown if row["front"] == 1], (across, up), objectives)
        where = {"showgrid": True, "row": panel, "col": 1}
        called = [f"{labels.get(metric, metric)} ({objectives[metric]})" for metric in (across, up)]
        figure.update_xaxes(title=called[0], **_axis(shown, across, seeds), **where)
        figure.update_yaxes(title=called[1], **_axis(shown, up, seeds), **where)
    lines = [escape(line) for text in (title, *(f"! {one}" for one in warnings)) for line in wrap(text, WIDTH)]
    figure.update_layout(
        title="<br>".join(f"<sub>{line}</sub>" for line in lines),
        template="simple_white",
        height=480 * len(pairs) + 20 * len(lines),
        margin_t=60 + 20 * len(lines),
        showlegend=True,
    )
    return figure


def _add_candidate(
    figure: Figure, panel: int, row: Mapping[str, Any], pair: tuple[str, str], seeds: Sequence[int], color: str
) -> None:
    """Adds the seeds, the mean and the score of one candidate to a panel."""
    across, up = pair
    group, name = f"trial {row['trial']}", f"trial {row['trial']}" + (" (winner)" if _wins(row) else "")
    mean = tuple(row[f"{metric}_mean"] for metric in pair)
    points = [tuple(row[f"{metric}_seed_{seed}"] for metric in pair) for seed in seeds]
    known = [(seed, *point) for seed, point in zip(seeds, points, strict=True) if None not in point]
    where: dict[str, Any] = {"row": panel, "col": 1, "legendgroup": group}
    for number, (seed, x, y) in enumerate(known):
        ray = mean[0] is not None
        mark = MARKS[list(seeds).index(seed) % len(MARKS)]
        figure.add_scatter(
            x=[mean[0], x] if ray else [x],
            y=[mean[1], y] if ray else [y],
            mode="lines+markers",
            line={"color": color, "width": 0.5},
            marker={"symbol": mark, "size": [0, 7] if ray else 7, "color": color, "opacity": 0.6},
            name=name,
            showlegend=not ray and number == 0 and panel == 1,
            hovertext=f"{name}, seed {seed}",
            **where,
        )
    if mean[0] is None:
        return
    figure.add_scatter(
        x=[mean[0]],
        y=[mean[1]],
        error_x={"array": [row[f"{across}_sigma"]], "color": color, "thickness": 1},
        error_y={"array": [row[f"{up}_sigma"]], "color": color, "thickness": 1},
        mode="markers+text",
        text=[str(row["trial"])],
        textposition="top right",
        marker={"symbol": "star" if _wins(row) else "circle", "size": 18 if _wins(row) else 11, "color": color},
        name=f"{name}: mean ± sigma",
        showlegend=panel == 1,
        **where,
    )
    if row[f"{across}_score"] is not None:
        figure.add_scatter(
            x=[row[f"{across}_score"]],
            y=[row[f"{up}_score"]],
            mode="markers",
            marker={"symbol": "diamond-open", "size": 11, "color": color},
            name=f"{name}: score",
            showlegend=False,
            hovertext=f"{name}: score",
            **where,
        )


def _add_front(
    figure: Figure, rows: Sequence[Mapping[str, Any]], pair: tuple[str, str], objectives: Mapping[str, str]
) -> None:
    """Adds the steps between the scores of the front: what they dominate lies beyond them."""
    points = sorted(tuple(row[f"{metric}_score"] for metric in pair) for row in rows)
    if len(points) < 2:
        return
    # From left to right the next value is reached at the worse end of the first objective.
    shape = "hv" if objectives[pair[0]] == "minimize" else "vh"
    figure.add_scatter(
        x=[x for x, _ in points],
        y=[y for _, y in points],
        mode="lines",
        line={"shape": shape, "dash": "dash", "color": "#555555"},
        name="front of the scores",
    )


def _axis(rows: Sequence[Mapping[str, Any]], metric: str, seeds: Sequence[int]) -> dict[str, str]:
    """Returns the type of a metric's axis: logarithmic if its values are positive and far apart, else linear."""
    values = [value for row in rows for seed in seeds if (value := row[f"{metric}_seed_{seed}"]) is not None]
    is_log = bool(values) and 0 < min(values) * FAR_APART < max(values)
    return {"type": "log", "dtick": "D2"} if is_log else {"type": "linear"}


def _wins(row: Mapping[str, Any]) -> bool:
    return row["rank"] == 1 and bool(row["keeps_bounds"])
