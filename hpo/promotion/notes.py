"""Shows a promotion in Optuna's dashboard: notes, a figure, an attribute, the metric's name. hpo has its own record."""

from __future__ import annotations

import html
from collections.abc import Sequence

from hpo.core.formatting import number
from hpo.core.records import digest
from hpo.promotion.front_shown import winner_text
from hpo.promotion.fronts import FrontReport
from hpo.promotion.report import PromotionReport
from hpo.promotion.sentences import certainty_text
from hpo.store.optuna_storage.notes import name_metrics, write_note, write_picture
from hpo.store.optuna_storage.studies import OptunaStudies

ATTRIBUTE = "hpo:promoted"
PICTURE = "hpo-robustness"


def note_promotion(durable: OptunaStudies, report: PromotionReport, results: Sequence[str]) -> bool:
    """Writes a promotion where Optuna's dashboard shows it; returns False if it was already there.

    Args:
        durable: Optuna's studies, open for writing.
        report: report of the promotion; without a winner nothing is written.
        results: names of the winner's results folders.
    """
    row, study = report.winner, report.study
    if row is None:
        return False
    handle = durable.handle(study.name)
    attribute = _attribute(report, results)
    if handle.user_attrs.get(ATTRIBUTE) == attribute:
        return False
    name_metrics(handle, study.objective.metrics)
    link = f"[Robustness of {study.name}](/robustness/{study.name})"
    texts = [html.escape(text, quote=False) for text in (*certainty_text(report).split("\n"), report.markdown())]
    write_note(handle, "\n\n".join([f"# {link}", *texts]))
    score = f"mean {number(row.mean)} ± {number(row.sigma)}, score {number(row.score)}"
    if row.sigma is None:
        score = f"mean {number(row.mean)}, without a sigma"
    if isinstance(report, FrontReport):
        score = winner_text(report)
    seeds = ", ".join(map(str, report.ranking.seeds))
    place = f"rank {report.standing(row)} of {len(report.ranking.rows)}"
    warnings = [f"**Warning:** {html.escape(warning, quote=False)}" for warning in report.warnings]
    title = f"# PROMOTED: {place}" if report.is_decided else f"# NO WINNER IS DECIDED: {place}"
    if row.candidate.trial not in report.external:  # a candidate from another tool is no trial of the Optuna study
        of_trial = "\n\n".join([title, *warnings, f"{score} on seeds {seeds}. {link}"])
        write_note(handle, of_trial, durable.trial_id(handle, row.candidate.trial))
    write_picture(handle, PICTURE, report.figure().to_json())
    handle.set_user_attr(ATTRIBUTE, attribute)  # last: if it is missing, everything is written again
    return True


def _attribute(report: PromotionReport, results: Sequence[str]) -> dict[str, object]:
    row = report.winner
    assert row is not None  # called only for promotions with a winner
    return {
        "trial": row.candidate.trial,
        **(
            {"objectives": report.of_winner(), "preference": str(report.preference), "rule": report.score_text}
            if isinstance(report, FrontReport)
            else {
                "mean": row.mean,
                "sigma": row.sigma,
                "score": row.score,
                "rule": report.ranking.rule.formula(report.ranking.direction),
            }
        ),
        "seeds": list(report.ranking.seeds),
        "results": list(results),
        "page": f"/robustness/{report.study.name}",
        "digest": digest([report.rows(), *report.warnings])[:16],
    }
