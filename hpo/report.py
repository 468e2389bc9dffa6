"""A promotion as an interactive picture in one file that needs no network; plotly's room."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hpo.files import write_text
from hpo.ranking import Ranking

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

# plotly is imported where it is used: it takes half a second, and only a promotion draws.

MARKS = ("circle", "square", "diamond", "triangle-up", "x", "star")
"""A seed's mark; its place on the axis and its name in the legend tell it too, so colour carries nothing alone."""


def promotion_figure(ranking: Ranking, standings: Sequence[str], study: str, metric: str, searched_on: str) -> Figure:
    """Returns every candidate's value on every seed, its mean with a bar of one sigma, and what the search had said.

    Args:
        ranking: the first one's line is on top.
        standings: of the rows: the rank, or why there is none.
        study: its name, for the title.
        metric: name of the values' axis.
        searched_on: for the legend, e.g. `seed 41`.
    """
    from plotly import graph_objects

    rows = ranking.rows
    rule = ranking.rule
    title = f"{study}: ranked by {rule.said(ranking.direction)} over {len(ranking.seeds)} seeds"
    lines = [f"{standing}: trial {row.candidate.trial}" for standing, row in zip(standings, rows, strict=True)]
    figure = graph_objects.Figure()
    for index, seed in enumerate(ranking.seeds):
        values = [row.candidate.values.get(seed) for row in rows]
        marker = {"symbol": MARKS[index % len(MARKS)], "size": 10}
        figure.add_scatter(x=values, y=lines, mode="markers", name=f"seed {seed}", marker=marker)
    figure.add_scatter(
        x=[row.mean for row in rows],
        y=lines,
        mode="markers",
        name=f"mean ± sigma (ddof {rule.ddof})",
        marker={"symbol": "line-ns-open", "size": 22, "color": "black", "line": {"width": 3}},
        error_x={"array": [row.sigma or 0.0 for row in rows], "color": "black"},
    )
    figure.add_scatter(
        x=[row.candidate.search_value for row in rows],
        y=lines,
        mode="markers",
        name=f"search ({searched_on})",
        marker={"symbol": "circle-open", "size": 12, "color": "gray"},
    )
    figure.update_layout(title=title, template="simple_white", xaxis_title=metric, height=220 + 60 * len(rows))
    figure.update_yaxes(autorange="reversed", title="rank")
    figure.update_xaxes(showgrid=True)
    return figure


def write_page(path: Path, figure: Figure) -> None:
    """Writes a picture as one HTML file, plotly's script included."""
    write_text(path, figure.to_html(include_plotlyjs=True, full_html=True, div_id="promotion"))
