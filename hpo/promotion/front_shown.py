"""What is printed and written of a promotion with several objectives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tabulate import tabulate

from hpo.core.formatting import counted, percent, quantity
from hpo.core.shown import Dim, Grid, Page
from hpo.promotion.params_tables import params_latex, params_markdown
from hpo.results import latex
from hpo.stats.confidence import CALIBRATED
from hpo.stats.fronts import MARGIN
from hpo.stats.seed_use import Use

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpo.promotion.fronts import FrontReport


def front_rows(report: FrontReport) -> list[dict[str, str]]:
    """Returns a row of texts for each candidate, with all objectives under every seed."""
    ranking, metrics = report.ranking, report.study.objective.metrics
    by_use = any(row.candidate.use is not Use.USED for row in ranking.rows)
    several, bounded = len(ranking.seeds) > 1, bool(report.preference.where)
    found = []
    for row, one in zip(ranking.rows, report.rows_of_front, strict=True):
        cells = {"rank": report.standing(row), "trial": str(one.trial), "front": _text(one.front)}
        if several:
            cells |= {"on front": _share(one.on_front), "chosen": _share(one.chosen)}
        if bounded:
            cells["keeps bounds"] = "yes" if one.keeps_bounds else "no"
        for place, metric in enumerate(metrics):
            cells[metric] = _moments(one.means[place], one.sigmas[place]) if one.means else "-"
            if several:
                cells[f"{metric} score"] = quantity(one.scores[place]) if one.scores else "-"
        cells |= {f"seed {seed}": _vector(one.vectors.get(seed)) for seed in ranking.seeds}
        cells["search"] = _vector(one.searched)
        found.append(cells | ({"seeds": str(row.candidate.use)} if by_use else {}))
    return found


def front_table(report: FrontReport) -> Page:
    """Returns the table of the candidates, and notes on the conventions."""
    rows = front_rows(report)
    params, columns = report.params, [*rows[0]] if rows else ["rank", "trial"]
    differing = params.columns(columns)
    texts = {name: params.texts(name) for name in differing}
    made = Grid(
        *columns,
        *differing.values(),
        left=[*differing.values()],
        keys=2,
        spare=(
            ["chosen"],
            ["on front"],
            ["search"],
            [f"seed {seed}" for seed in report.ranking.seeds],
            [f"{metric} score" for metric in report.study.objective.metrics],
        ),
        below=[*differing.values()],
    )
    for one, cells in zip(report.rows_of_front, rows, strict=True):
        made.add_row(*cells.values(), *[texts[name].get(one.trial, "-") for name in differing])
    return Page([*(f"! {warning}" for warning in report.warnings), made, Dim(_note(report))])


def front_text(report: FrontReport) -> str:
    """Returns sentences on the winner, the front and how certain both are."""
    spread, best, metrics = report.over_seeds, report.best, report.study.objective.metrics
    if spread is None:
        return "No candidate is complete, so there is no front and no winner."
    seeds = len(report.ranking.seeds)
    listed = ", ".join(str(one.trial) for one in report.front)
    lines = [f"The front: trial {listed}, by {report.score_text}."]
    if best is None:
        lines.insert(0, f"No winner: no candidate's scores keep {report.preference}. {_nearest(report)}")
    else:
        named = "knee" if str(report.preference) == "knee" else f"preferred one ({report.preference})"
        place = "Winner" if report.is_decided else "First, but no winner"
        lines.insert(0, f"{place}: trial {best.trial}, the {named} of the front: {winner_text(report)}.")
        if report.is_decided and len(report.certainty.winners) > 1:
            none = ", ".join(report.certainty.unknown)
            unkept = f" No candidate keeps the bounds under: {none}." if none else ""
            lines.insert(1, f"{report.certainty.changes_text}{unkept}".strip())
    lines.append(_ends(report))
    if seeds > 1:
        by = f"of {spread.resamples} resamples of the {seeds} seeds (seed {spread.resampling_seed})"
        if best is not None and best.on_front is not None and best.chosen is not None:
            lines.append(f"It is on the front in {percent(best.on_front)} and chosen in {percent(best.chosen)} {by}.")
        if rivals := [one for one in report.rows_of_front if one is not best and (one.chosen or 0.0) >= 0.1]:
            named = ", ".join(f"trial {one.trial} in {percent(one.chosen or 0.0)}" for one in rivals)
            lines.append(f"In other resamples another candidate is chosen: {named}.")
    low, high = spread.interval
    interval = f" (95 % of the resamples: {low:.3f} .. {high:.3f})" if seeds > 1 else ""
    lines.append(
        f"Hypervolume of the front: {spread.hypervolume:.3f}{interval} of the box between the best values "
        f"({_named(metrics, spread.ideal)}) and the reference point ({_named(metrics, spread.reference)})."
    )
    if 1 < seeds < CALIBRATED:
        lines.append(f"With {seeds} seeds, fewer than {CALIBRATED}, these shares and the interval look too certain.")
    if report.certainty.seen:
        lines.append(f"Seed {', '.join(map(str, report.certainty.seen))} was also a seed of the search.")
    if best is not None and best.trial in report.still_rising:
        lines.append(
            f"The best epoch of trial {best.trial} is the last of {report.study.search.budget} under every seed: it "
            "may not have converged."
        )
    lines += report.estimate.sentences if report.estimate else []
    return "\n".join(lines)


def front_markdown(report: FrontReport) -> str:
    """Returns the candidates as a Markdown table with the text on the front."""
    heading = f"## {report.study.name}: front of {report.score_text}"
    warnings = [f"**Warning:** {warning}" for warning in report.warnings]
    parts = [heading, *warnings, _table(report, "github"), *params_markdown(report), front_text(report), _note(report)]
    return "\n\n".join(parts) + "\n"


def front_latex(report: FrontReport) -> str:
    """Returns the candidates as a LaTeX table; it needs the booktabs package."""
    warnings = [rf"\textbf{{Warning:}} {latex(warning)}" for warning in report.warnings]
    parts = [*warnings, _table(report, "latex_booktabs"), *params_latex(report), latex(_note(report))]
    return "\n\n".join(parts) + "\n"


def winner_text(report: FrontReport) -> str:
    """Returns the winner's objectives on one line: `val_acc 0.9312 ± 0.0041, parameters 1234 ± 0`."""
    best = report.best
    if best is None:
        return "none"
    cells = map(_moments, best.means, best.sigmas)
    return ", ".join(f"{name} {cell}" for name, cell in zip(report.study.objective.metrics, cells, strict=True))


def _table(report: FrontReport, style: str) -> str:
    return str(tabulate(front_rows(report), headers="keys", tablefmt=style, disable_numparse=True, stralign="right"))


def _note(report: FrontReport) -> str:
    metrics, rule = report.study.objective.metrics, report.ranking.rule
    epoch = report.study.objective.epoch
    chosen = f"the best epoch by {metrics[0]}" if epoch == "best" else "the last epoch"
    known = f" · sigma: ddof {rule.ddof} · score: {report.score_text} · n = {len(report.ranking.seeds)}"
    return (
        f"values: {' · '.join(metrics)}, all at {chosen}{known} · front: 1 if no other candidate's scores are nowhere "
        f"worse and somewhere better · reference point: the worst value and {100 * MARGIN:.0f} % of the range"
    )


def _ends(report: FrontReport) -> str:
    """Returns a sentence on the candidates with the best score in each objective."""
    parts = []
    for place, (metric, direction) in enumerate(report.study.objective.by_metric.items()):
        choose = max if direction == "maximize" else min
        end = choose(report.front, key=lambda one, at=place: one.scores[at])  # type: ignore[misc]  # a default binds it
        parts.append(f"{metric} trial {end.trial} ({quantity(end.scores[place])})")
    return f"Its ends, by score: {', '.join(parts)}; {counted(len(report.front), 'candidate')} in all."


def _nearest(report: FrontReport) -> str:
    metrics = report.study.objective.metrics
    parts = []
    for bound in report.preference.bounds:
        at = metrics.index(bound.metric)
        choose = min if bound.is_upper else max
        value = choose(one.scores[at] for one in report.rows_of_front if one.scores)
        parts.append(f"the best score of {bound.metric} is {quantity(value)}")
    return f"{'; '.join(parts).capitalize()}."


def _named(metrics: Sequence[str], values: Sequence[float]) -> str:
    return ", ".join(f"{name} {quantity(value)}" for name, value in zip(metrics, values, strict=True))


def _moments(mean: float, sigma: float | None) -> str:
    if sigma is None:
        return quantity(mean)
    return f"{quantity(mean)} ± {quantity(sigma) if sigma else '0'}"


def _vector(values: Sequence[float] | None) -> str:
    return " · ".join(map(quantity, values)) if values else "-"


def _share(share: float | None) -> str:
    return "-" if share is None else percent(share)


def _text(value: int | None) -> str:
    return "-" if value is None else str(value)
