"""What the templates of a study's page show: the view's plain values, and the answers and figures made from it."""

from __future__ import annotations

from typing import Any

from hpo.core.records import Value
from hpo.figures.svg.canvas import seed_kind, seed_shape
from hpo.figures.svg.replicates import seed_keys
from hpo.figures.svg.search import improvements
from hpo.promotion.front_shown import front_rows
from hpo.promotion.fronts import FrontReport
from hpo.promotion.report import PromotionReport
from hpo.serve.pages.answers import (
    MOST_COLUMNS,
    cost_rows,
    failures,
    fixed_text,
    front_differences,
    next_steps,
    param_rows,
    price_text,
    reproducing,
    runner_up,
    saved_text,
    time_of_one,
)
from hpo.serve.pages.figures import figures_of
from hpo.serve.pages.strip import strips
from hpo.serve.study_view import StudyView
from hpo.study import Trial, sort_best_first

MOST_TRIALS = 500
"""Largest number of trials in the table of a page; of more, the best are shown."""


def study_values(view: StudyView) -> dict[str, Any]:
    """Returns all values of a study's page by the names that its templates use."""
    values, report = view.values(), view.report
    best = _best(view)
    columns = _columns(view, report)
    return {
        **values,
        **_promotion_values(report),
        "spent": str(view.progress.spent) if view.progress.spent.seconds else None,
        "costs": cost_rows(view),
        "price": price_text(view),
        "saved": saved_text(view),
        "best": best,
        "best_params": param_rows([best], view.study) if best else (),
        "fixed": {name: _shown(value) for name, value in view.study.fixed.items()},
        "fixed_text": fixed_text(best.params, view.study) if best else "",
        "columns": columns,
        "column_params": param_rows([view.trial(number) for number in columns], view.study),
        "column_values": [one.value if (one := view.trial(number)) else None for number in columns],
        "column_seconds": [time_of_one(view.seconds[number]) if number in view.seconds else "-" for number in columns],
        "rival": runner_up(view),
        "instead": front_differences(view),
        "rising": sorted(report.still_rising) if report else [],
        "commands": reproducing(view),
        "failures": failures(view.trials),
        "steps": next_steps(view),
        "drawn": figures_of(view),
        "trials": _listed(view),
        "trial_count": len(view.trials),
        "names": list(view.study.space),
        "running": [one for one in view.trials if one.state == "running"],
        "replicates": view.replicates,
        "folds": any(one.fold for one in view.replicates),
        "waiting": sum(one.state == "waiting" for one in view.trials),
        "budget": view.study.search.budget,
        "winner": view.winner,
        "improved": len(improvements(view.trials, view.study)),
        "data": _script_data(values, report),
    }


def _promotion_values(report: PromotionReport | None) -> dict[str, Any]:
    if report is None:
        return {"strips": {}, "by_seed": {}, "front_rows": [], "metrics": (), "seed_marks": {}, "seed_keys": ()}
    ranking = report.ranking
    return {
        "strips": strips(ranking),
        "by_seed": {row.candidate.trial: row.candidate.values for row in ranking.rows},
        "front_rows": front_rows(report) if isinstance(report, FrontReport) else [],
        "metrics": report.metrics,
        "seed_marks": {seed: f"{seed_kind(index)} {seed_shape(index)}" for index, seed in enumerate(ranking.seeds)},
        "seed_keys": seed_keys(ranking.seeds),
    }


def _best(view: StudyView) -> Trial | None:
    """Returns the winner, or the candidate ranked first, or the incumbent of the search."""
    report = view.report
    if report is not None and view.is_final and report.winner is not None:
        return view.trial(report.winner.candidate.trial)
    return view.progress.incumbent


def _columns(view: StudyView, report: PromotionReport | None) -> list[int]:
    """Returns the trials that are shown beside each other: the candidates, or the best of the search."""
    if report is not None:
        return [row.candidate.trial for row in report.ranking.rows][:MOST_COLUMNS]
    return [one.number for one in sort_best_first(view.trials, view.study)][:5]


def _listed(view: StudyView) -> list[Trial]:
    """Returns the trials of the table: all of them by number, or the best of very many."""
    if len(view.trials) <= MOST_TRIALS:
        return list(view.trials)
    return sort_best_first(view.trials, view.study)[:MOST_TRIALS]


def _shown(value: Value) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _script_data(values: dict[str, object], report: PromotionReport | None) -> dict[str, object]:
    """Returns what the page's script needs to rank the candidates by another weight of sigma."""
    promotion = values["promotion"]
    assert promotion is None or isinstance(promotion, dict)
    return {
        "unbiasing": values["unbiasing"],
        "promotion": promotion and {name: promotion[name] for name in ("direction", "rule", "lambda", "ddof", "seeds")},
        "candidates": [
            {"trial": row.candidate.trial, "values": [row.candidate.values.get(seed) for seed in report.ranking.seeds]}
            for row in report.ranking.rows
        ]
        if report
        else [],
    }
