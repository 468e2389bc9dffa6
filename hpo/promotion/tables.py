"""The tables of a promotion in Markdown and LaTeX."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tabulate import tabulate

from hpo.promotion.luck import searched_on
from hpo.promotion.params_tables import params_latex, params_markdown
from hpo.results import latex
from hpo.stats.ranking import Row
from hpo.stats.seed_use import Use

if TYPE_CHECKING:
    from hpo.promotion.estimate import Estimate
    from hpo.promotion.report import PromotionReport


def markdown_text(report: PromotionReport) -> str:
    """Returns the ranking and the winner's metrics as Markdown tables."""
    study, rule = report.study, report.ranking.rule
    formula = rule.formula(report.ranking.direction)
    heading = f"## {study.name}: promotion by {formula} of {study.objective.metric}"
    note = f"sigma: ddof {rule.ddof}; intervals: Student's, 95 %; search on {searched_on(study, report.external)}."
    note = " ".join([note, *_fold_note(report)])
    warnings = [f"**Warning:** {warning}" for warning in report.warnings]
    parts = [heading, *warnings, _table_text(_ranking(report), "github"), note, *params_markdown(report)]
    winner = report.winner.candidate.trial if report.winner else None
    if final := _last_rung(report):
        parts += [f"### The race's last rung: winner trial {winner}", _table_text(final, "github")]
    if report.estimate and report.estimate.parts:
        sentences = report.estimate.sentences
        parts += ["### How good the winner is", _table_text(_estimated(report.estimate), "github"), *sentences]
    if metrics := _metrics(report):
        parts += [f"### The winner's metrics: trial {winner}", _table_text(metrics, "github")]
    return "\n\n".join(parts) + "\n"


def latex_text(report: PromotionReport) -> str:
    """Returns the ranking and the winner's metrics as LaTeX tables; they need the booktabs package."""
    warnings = [rf"\textbf{{Warning:}} {latex(warning)}" for warning in report.warnings]
    estimated = _estimated(report.estimate) if report.estimate else []
    tables = [table for table in (_last_rung(report), estimated, _metrics(report)) if table]
    notes = [*_fold_note(report), *(report.estimate.sentences if report.estimate else [])]
    first = [_table_text(_ranking(report), "latex_booktabs"), *params_latex(report)]
    parts = [*warnings, *first, *(_table_text(table, "latex_booktabs") for table in tables), *map(latex, notes)]
    return "\n\n".join(parts) + "\n"


def _estimated(estimate: Estimate) -> list[dict[str, str]]:
    """Returns the winner's metrics with both intervals; empty if none are known."""
    names = {"over_seeds": "95 % over seeds", "over_cases": "95 % over cases"}
    return [{names.get(name, name): text for name, text in row.items()} for row in estimate.rows()]


def best_score(report: PromotionReport, row: Row) -> float | None:
    """Returns the best score that a candidate can still reach; None if it is complete or left a race."""
    return None if row.bound is None or not math.isfinite(row.bound) or report.race else row.bound


def _fold_note(report: PromotionReport) -> list[str]:
    """Returns a sentence on values under cross-validation; empty without it."""
    folds = report.study.validation
    return [f"A seed's value, and each of its metrics, is the mean over {folds}."] if folds else []


def _table_text(rows: Sequence[dict[str, str]], style: str) -> str:
    aligned = ["right" if name not in ("metric", "on") else "left" for name in rows[0]]
    return str(tabulate(rows, headers="keys", tablefmt=style, disable_numparse=True, colalign=aligned))


def _last_rung(report: PromotionReport) -> list[dict[str, str]]:
    """Returns the last rung of the race; empty if there was none."""
    race = report.race
    if race is None or report.refined is None:
        return []
    return [
        {
            "rank": _text(row.rank),
            "trial": str(row.candidate.trial),
            f"mean of {len(race.seeds)} seeds": _text(row.mean),
            "sigma": _text(row.sigma),
            report.ranking.rule.formula(report.ranking.direction): _text(row.score),
            "95 % interval": _interval(row),
        }
        for row in race.final.rows
    ]


def _ranking(report: PromotionReport) -> list[dict[str, str]]:
    ranking = report.ranking
    by_use = any(row.candidate.use is not Use.USED for row in ranking.rows)
    return [
        {
            "rank": report.standing(row),
            "trial": str(row.candidate.trial),
            **({"source trial": one.origin.label} if (one := report.external.get(row.candidate.trial)) else {}),
            **{f"seed {seed}": _text(row.candidate.values.get(seed)) for seed in ranking.seeds},
            "mean": _text(row.mean),
            "sigma": _text(row.sigma),
            **_fold_sigma(report, row),
            ranking.rule.formula(ranking.direction): _score(report, row),
            "95 % interval": _interval(row),
            "CV %": _text(report.certainty.variations.get(row.candidate.trial), 1),
            "search": _text(row.candidate.search_value),
            **({"seeds": str(row.candidate.use)} if by_use else {}),
        }
        for row in ranking.rows
    ]


def _fold_sigma(report: PromotionReport, row: Row) -> dict[str, str]:
    """Returns the spread of the folds within a seed; empty without cross-validation."""
    spread = report.folds.get(row.candidate.trial)
    return {"fold sd": _text(spread.sigma if spread else None)} if report.study.validation else {}


def _score(report: PromotionReport, row: Row) -> str:
    bound = best_score(report, row)
    if bound is None:
        return _text(row.score)
    return f"{'<=' if report.ranking.direction == 'maximize' else '>='} {_text(bound)}"


def _metrics(report: PromotionReport) -> list[dict[str, str]]:
    winner = report.winner.candidate.trial if report.winner else None
    return [
        {
            "metric": one.metric,
            **{f"seed {seed}": _text(one.values[seed]) for seed in report.ranking.seeds},
            "mean": _text(one.mean),
            "sigma": _text(one.sigma),
        }
        for one in report.metrics
        if one.trial == winner
    ]


def _interval(row: Row) -> str:
    return "-" if row.interval is None else f"{_text(row.interval[0])} .. {_text(row.interval[1])}"


def _text(value: object, digits: int = 4) -> str:
    if not isinstance(value, float):
        return "-" if value is None else str(value)
    text = f"{value:.{digits}f}"
    return f"{value:.1e}" if value and not float(text) else text  # a small value must not look like 0
