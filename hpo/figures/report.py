"""Interactive figures of promotions and decompositions, in self-contained files."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from hpo.core.files import Guard, no_guard, write_text
from hpo.stats.ranking import Ranking
from hpo.stats.variance import Effects

if TYPE_CHECKING:
    from plotly.graph_objects import Figure as Figure  # others annotate with it

# plotly is imported where it is used, because it takes half a second and few commands draw.

MARKS = ("circle", "square", "diamond", "triangle-up", "x", "star")
"""Marker symbols by seed, so that nothing is encoded in color alone."""


WIDTH = 120
"""Characters per line below a figure's title."""

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555")
"""Colors by candidate. Source: Okabe and Ito, Color universal design, 2008; without yellow, invisible in print."""


_SCRIPT = re.compile(r"<script(?: type=\"text/javascript\")?>(.*?)</script>", re.DOTALL)
"""Matches the scripts of a page, but not data, which have another type and do not run."""


def promotion_figure(
    ranking: Ranking,
    standings: Sequence[str],
    study: str,
    metric: str,
    searched_on: str,
    warnings: Sequence[str] = (),
) -> Figure:
    """Returns a figure of every candidate's value on every seed, mean with a bar of one sigma, and value in the search.

    Args:
        ranking: the ranking; its first row is on top.
        standings: rank of each row, or why it has none.
        study: name of the study, for the title.
        metric: label of the value axis.
        searched_on: seeds of the search for the legend, e.g. `seed 41`.
        warnings: sentences to show below the title.
    """
    from plotly import graph_objects

    rows = ranking.rows
    rule = ranking.rule
    title = f"{study}: ranked by {rule.formula(ranking.direction)} over {len(ranking.seeds)} seeds"
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
        error_x={"array": [row.sigma for row in rows], "color": "black"},
    )
    figure.add_scatter(
        x=[row.candidate.search_value for row in rows],
        y=lines,
        mode="markers",
        name=f"search ({searched_on})",
        marker={"symbol": "circle-open", "size": 12, "color": "gray"},
    )
    shown = [escape(line) for warning in warnings for line in wrap(f"! {warning}", WIDTH)]
    figure.update_layout(
        title="<br>".join([title, *(f"<sub>{line}</sub>" for line in shown)]),
        template="simple_white",
        xaxis_title=metric,
        height=220 + 60 * len(rows) + 20 * len(shown),
        margin_t=100 + 20 * len(shown),
    )
    figure.update_yaxes(autorange="reversed", title="rank")
    figure.update_xaxes(showgrid=True)
    return figure


def effects_figure(effects: Effects, *, title: str, metric: str, notes: Mapping[str, str]) -> Figure:
    """Returns a figure with a dot and its interval per source on a log axis, and a line at the sd of all sources.

    Args:
        effects: the effects, largest on top.
        title: title of the figure.
        metric: name of the metric, for the axis.
        notes: text by source to show instead of a dot, e.g. `no effect`, since a log axis has no zero; may name more
            sources.
    """
    from plotly import graph_objects

    shown = [effect for effect in effects.effects if effect.sd > 0]
    lines = [effect.source for effect in shown] + [name for name in notes if name not in {one.source for one in shown}]
    intervals = [effect.interval or (effect.sd, effect.sd) for effect in shown]
    figure = graph_objects.Figure()
    figure.add_scatter(
        x=[effect.sd for effect in shown],
        y=[effect.source for effect in shown],
        mode="markers",
        name="sd if only this is redrawn, 95 %",
        marker={"symbol": "circle", "size": 12, "color": "black"},
        error_x={
            "symmetric": False,
            "array": [high - effect.sd for effect, (_, high) in zip(shown, intervals, strict=True)],
            "arrayminus": [effect.sd - low for effect, (low, _) in zip(shown, intervals, strict=True)],
            "color": "black",
        },
    )
    if effects.sd > 0:
        figure.add_vline(x=effects.sd, line_dash="dash", annotation_text=f"all sources {effects.sd:.3g}")
    for name, note in notes.items():
        figure.add_annotation(x=0.01, xref="paper", xanchor="left", y=name, text=note, showarrow=False)
    figure.update_layout(title=title, template="simple_white", height=220 + 45 * len(lines), showlegend=True)
    figure.update_xaxes(type="log", showgrid=True, title=f"sd of {metric}")
    figure.update_yaxes(
        type="category", categoryorder="array", categoryarray=lines[::-1], range=[-0.6, len(lines) - 0.4]
    )
    return figure


def curves_figure(curves: Sequence[Mapping[str, Any]], winner: int | None, metric: str) -> Figure:
    """Returns a figure of all replicates' learning curves; only those of the winner are visible at first.

    Args:
        curves: each with `trial`, `seed`, `epochs` and `values`.
        winner: number of the winning trial.
        metric: label of the value axis.
    """
    from plotly import graph_objects

    figure = graph_objects.Figure()
    seeds = list(dict.fromkeys(curve["seed"] for curve in curves))
    trials = list(dict.fromkeys(curve["trial"] for curve in curves))
    for curve in curves:
        mark = MARKS[seeds.index(curve["seed"]) % len(MARKS)]
        figure.add_scatter(
            x=curve["epochs"],
            y=curve["values"],
            mode="lines+markers",
            name=f"trial {curve['trial']}, seed {curve['seed']}",
            visible=True if winner in (None, curve["trial"]) else "legendonly",
            line={"color": COLORS[trials.index(curve["trial"]) % len(COLORS)]},
            marker={"symbol": mark, "size": 8},
        )
    figure.update_layout(template="simple_white", xaxis_title="epoch", yaxis_title=metric, height=420, showlegend=True)
    return figure


def comparison_figure(
    names: Sequence[str], seeds: Sequence[int], values: Sequence[Sequence[float]], verdict: str
) -> Figure:
    """Returns a figure of two configurations' values, paired by seed.

    Args:
        names: names of both configurations.
        seeds: seeds that both have.
        values: values of both, each in the order of the seeds.
        verdict: the conclusion, which stands below the title.
    """
    from plotly import graph_objects

    figure = graph_objects.Figure()
    for index, (name, own) in enumerate(zip(names, values, strict=True)):
        marker = {"symbol": MARKS[index], "size": 10, "color": COLORS[index]}
        figure.add_scatter(x=[f"seed {seed}" for seed in seeds], y=own, mode="markers", name=name, marker=marker)
    title = f"{escape(' against '.join(names))}<br><sub>{'<br>'.join(wrap(escape(verdict), WIDTH))}</sub>"
    figure.update_layout(title=title, template="simple_white", yaxis_title="value", height=420, showlegend=True)
    return figure


def replay_figure(replays: Sequence[float], seeds: Mapping[int, float], *, title: str, metric: str) -> Figure:
    """Returns a figure of the values of one job's trainings, next to those of the same trial under other seeds.

    Args:
        replays: value of each training of the job.
        seeds: values of the trial by seed; empty: it has no replicates.
        title: title of the figure.
        metric: name of the metric, for the axis.
    """
    from plotly import graph_objects

    figure = graph_objects.Figure()
    groups = {"one job again": (replays, [str(index) for index in range(len(replays))])}
    groups |= {"other seeds": (list(seeds.values()), [f"seed {seed}" for seed in seeds])} if seeds else {}
    for index, (name, (values, texts)) in enumerate(groups.items()):
        marker = {"symbol": MARKS[index], "size": 10, "color": COLORS[index]}
        figure.add_scatter(x=[name] * len(values), y=values, text=texts, mode="markers", name=name, marker=marker)
    figure.update_layout(title=title, template="simple_white", yaxis_title=metric, height=420, showlegend=False)
    return figure


def instability_figure(rows: Sequence[Mapping[str, Any]], study: str, count: int) -> Figure:
    """Returns a figure of each param's importance for the value and for sigma.

    Args:
        rows: each with `name`, `for_value` and `for_sigma`.
        study: name of the study, for the title.
        count: number of trials that have a sigma.
    """
    from plotly import graph_objects

    names = [row["name"] for row in rows]
    figure = graph_objects.Figure()
    for key, name, pattern in (("for_value", "for the value", ""), ("for_sigma", "for sigma", "/")):
        figure.add_bar(
            x=[row[key] for row in rows], y=names, name=name, orientation="h", marker={"pattern": {"shape": pattern}}
        )
    figure.update_layout(
        title=f"{study}: importance for the value and for sigma ({count} trials with several seeds)",
        template="simple_white",
        height=220 + 50 * len(names),
        xaxis_title="share of importance",
        showlegend=True,
    )
    figure.update_yaxes(autorange="reversed")
    return figure


def add_content_policy(page: str) -> str:
    """Adds a policy to a self-contained page by which it runs only its own scripts and fetches nothing.

    Text injected into the page is at worst displayed: a browser runs no script whose digest is not listed.

    Args:
        page: HTML of the page with all its scripts.
    """
    digests = [hashlib.sha256(found[1].encode()).digest() for found in _SCRIPT.finditer(page)]
    named = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests) or "'none'"
    policy = (
        f"default-src 'none'; script-src {named}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; "
        "form-action 'none'"
    )
    tag = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    return page.replace("<head>", f"<head>\n{tag}", 1)


def write_page(path: Path, figure: Figure, name: str = "promotion", guard: Guard = no_guard) -> None:
    """Writes a figure as one HTML file with plotly's script.

    Args:
        path: path of the file.
        figure: the figure to write.
        name: id of its element on the page.
        guard: called before the file is renamed into place, see `hpo.core.files.atomic_write`.
    """
    write_text(path, add_content_policy(figure.to_html(include_plotlyjs=True, full_html=True, div_id=name)), guard)
