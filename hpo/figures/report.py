"""Promotions and decompositions as interactive pictures, each in one file that needs no network."""

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
from hpo.stats.variance import Effect, Effects

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

# plotly is imported where it is used: it takes half a second, and few commands draw.

MARKS = ("circle", "square", "diamond", "triangle-up", "x", "star")
"""A seed's mark; its place on the axis and its name in the legend tell it too, so colour carries nothing alone."""


WIDTH = 120
"""Characters of a line below a picture's title."""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555")
"""A candidate's colour. Source: Okabe and Ito, Color universal design, 2008; without yellow, which paper swallows."""


_SCRIPT = re.compile(r"<script(?: type=\"text/javascript\")?>(.*?)</script>", re.DOTALL)
"""A script of a page; data have another type, and run nowhere."""


def promotion_figure(
    ranking: Ranking,
    standings: Sequence[str],
    study: str,
    metric: str,
    searched_on: str,
    warnings: Sequence[str] = (),
) -> Figure:
    """Returns every candidate's value on every seed, its mean with a bar of one sigma, and what the search had said.

    Args:
        ranking: the first one's line is on top.
        standings: of the rows: the rank, or why there is none.
        study: its name, for the title.
        metric: name of the values' axis.
        searched_on: for the legend, e.g. `seed 41`.
        warnings: sentences that have to be read first; they stand below the title.
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
    told = [escape(line) for warning in warnings for line in wrap(f"! {warning}", WIDTH)]
    figure.update_layout(
        title="<br>".join([title, *(f"<sub>{line}</sub>" for line in told)]),
        template="simple_white",
        xaxis_title=metric,
        height=220 + 60 * len(rows) + 20 * len(told),
        margin_t=100 + 20 * len(told),
    )
    figure.update_yaxes(autorange="reversed", title="rank")
    figure.update_xaxes(showgrid=True)
    return figure


def effects_figure(effects: Effects, *, title: str, metric: str, notes: Mapping[str, str]) -> Figure:
    """Returns a dot with its interval for each source, on a log axis, and a line at the sd of all sources together.

    Args:
        effects: the largest is on top.
        title: of the picture.
        metric: whose sd it is, for the axis.
        notes: by source, also others than those of the effects, what is said in place of a dot, e.g. `no effect`: zero
            has no place on a log axis.
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
    """Returns the replicates' learning curves over each other; those of the winner are drawn, the others can be.

    Args:
        curves: each with `trial`, `seed`, `epochs` and `values`.
        winner: number of the winning trial.
        metric: name of the values' axis.
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
            line={"color": COLOURS[trials.index(curve["trial"]) % len(COLOURS)]},
            marker={"symbol": mark, "size": 8},
        )
    figure.update_layout(template="simple_white", xaxis_title="epoch", yaxis_title=metric, height=420, showlegend=True)
    return figure


def optimism_figure(candidates: Sequence[Mapping[str, Any]], metric: str, searched_on: str) -> Figure:
    """Returns each candidate's mean over its seeds against what the search had said, with the line where both agree.

    Args:
        candidates: each with `trial`, `search_value`, `mean` and `sigma`.
        metric: name of the values.
        searched_on: for the axis, e.g. `seed 41`.
    """
    from plotly import graph_objects

    shown = [one for one in candidates if one["mean"] is not None and one["search_value"] is not None]
    figure = graph_objects.Figure()
    figure.add_scatter(
        x=[one["search_value"] for one in shown],
        y=[one["mean"] for one in shown],
        error_y={"array": [one["sigma"] for one in shown]},
        text=[str(one["trial"]) for one in shown],
        mode="markers+text",
        textposition="middle right",
        marker={"size": 10, "color": COLOURS[0]},
        name="mean ± sigma, by trial",
    )
    ends = [one[name] for one in shown for name in ("search_value", "mean")]
    if ends:
        line = [min(ends), max(ends)]
        figure.add_scatter(
            x=line, y=line, mode="lines", name="as the search said", line={"dash": "dash", "color": "gray"}
        )
    figure.update_layout(
        template="simple_white",
        xaxis_title=f"{metric} in the search ({searched_on})",
        yaxis_title=f"{metric} on the promotion's seeds",
        height=420,
        showlegend=True,
    )
    return figure


def decomposition_figure(found: Mapping[str, Any]) -> Figure:
    """Returns the picture of a decomposition from the plain values that were written of it."""
    effects = [
        Effect(
            source=one["source"],
            pairs=one["pairs"],
            sd=one["sd"],
            interval=(one["low"], one["high"]) if one["low"] is not None else None,
            share=one["total_effect"],
        )
        for one in found["sources"]
        if one["sd"] is not None
    ]
    whole = Effects(
        count=found["n"],
        mean=found["mean"],
        sd=found["sd"],
        effects=tuple(effects),
        total=found["sum_of_total_effects"],
        interact=bool(found["interact"]),
        leader=found["leader"],
    )
    identical = {one["source"]: one["identical"] == one["pairs"] for one in found["sources"]}
    notes = {
        effect.source: "not used" if identical[effect.source] else "no difference in this metric"
        for effect in effects
        if effect.sd == 0
    }
    return effects_figure(whole, title=f"trial {found['trial']}", metric=found["metric"], notes=notes)


def instability_figure(rows: Sequence[Mapping[str, Any]], study: str, count: int) -> Figure:
    """Returns each param's share in what tells the best trials by value, and in what tells the steadiest.

    Args:
        rows: each with `name`, `for_value` and `for_sigma`.
        study: its name, for the title.
        count: of trials that have a sigma.
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


def script() -> str:
    """Returns plotly's script, with which a page draws figures without a network."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def sealed(page: str) -> str:
    """Returns a page that is one file, with a policy by which it runs its own scripts alone and fetches nothing.

    What somebody's text might slip into it is shown at worst: a browser runs no script that is not named by its digest.

    Args:
        page: its HTML, with all its scripts in it.
    """
    digests = [hashlib.sha256(found[1].encode()).digest() for found in _SCRIPT.finditer(page)]
    named = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests) or "'none'"
    policy = (
        f"default-src 'none'; script-src {named}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; "
        "form-action 'none'"
    )
    said = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    return page.replace("<head>", f"<head>\n{said}", 1)


def write_page(path: Path, figure: Figure, name: str = "promotion", guard: Guard = no_guard) -> None:
    """Writes a picture as one HTML file, plotly's script included.

    Args:
        path: of the file.
        figure: that is drawn.
        name: of its element on the page.
        guard: called before the file takes its place, see `hpo.core.files.atomic_write`.
    """
    write_text(path, sealed(figure.to_html(include_plotlyjs=True, full_html=True, div_id=name)), guard)
