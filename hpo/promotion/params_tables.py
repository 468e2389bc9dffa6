"""The params of a promotion's candidates as tables in Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tabulate import tabulate

if TYPE_CHECKING:
    from hpo.core.records import Value
    from hpo.promotion.report import PromotionReport


def params_markdown(report: PromotionReport) -> list[str]:
    """Returns the params in which candidates differ, and the winner's, as Markdown; empty if none are known."""
    parts = []
    if rows := differing_rows(report):
        parts += ["### The params in which the candidates differ", _table_text(rows, "github")]
    if winner := _winner(report):
        trial, params = winner
        parts += [f"### The winner's params: trial {trial}", _table_text(value_rows(params), "github")]
    return parts


def params_latex(report: PromotionReport) -> list[str]:
    """Returns the same as `params_markdown` as LaTeX tables, with as many digits as the candidates need."""
    tables = [differing_rows(report)]
    if winner := _winner(report):
        tables.append(value_rows({name: report.params.texts(name)[winner[0]] for name in winner[1]}))
    return [_table_text(rows, "latex_booktabs") for rows in tables if rows]


def differing_rows(report: PromotionReport) -> list[dict[str, str]]:
    """Returns a row of texts for each candidate with the params in which they differ; empty if there are none."""
    known = ("rank", "trial")
    differing = report.params.columns(known)
    texts = {name: report.params.texts(name) for name in differing}
    return [
        {
            "rank": report.standing(row),
            "trial": str(trial),
            **{column: texts[name].get(trial, "-") for name, column in differing.items()},
        }
        for row in report.ranking.rows
        for trial in [row.candidate.trial]
        if differing
    ]


def value_rows(params: Mapping[str, Value]) -> list[dict[str, str]]:
    """Returns a row for each param with its value."""
    return [{"param": name, "value": str(value)} for name, value in params.items()]


def _winner(report: PromotionReport) -> tuple[int, Mapping[str, Value]] | None:
    """Returns the winner's trial and params; None if there is no winner, or its params are not known."""
    trial = report.winner.candidate.trial if report.winner else None
    params = report.params.of(trial)
    return None if trial is None or not params else (trial, params)


def _table_text(rows: Sequence[Mapping[str, str]], style: str) -> str:
    if style == "github":  # which separates cells by bars, and has no other escape for them
        rows = [{name.replace("|", "\\|"): text.replace("|", "\\|") for name, text in row.items()} for row in rows]
    aligned = ["left" if name == "param" else "right" for name in rows[0]]
    return str(tabulate(rows, headers="keys", tablefmt=style, disable_numparse=True, colalign=aligned))
