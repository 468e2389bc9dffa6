"""Promotions as Optuna's dashboard can show them: notes, a picture, attributes. What they say is in our tables."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from optuna_dashboard import save_note, save_plotly_graph_object

from hpo.api.board import Board, Boards
from hpo.records import digest
from hpo.report import promotion_figure
from hpo.shown import number
from hpo.store import StoredPromotion

SECONDS = 5.0
"""Between two looks for promotions that the dashboard does not show yet."""

ATTRIBUTE = "hpo:promoted"
PICTURE = "hpo-robustness"

logger = logging.getLogger(__name__)


def project(found: Boards, name: str) -> bool:
    """Writes a study's newest promotion to where the dashboard looks, and returns whether it was not there yet.

    Args:
        found: the studies.
        name: which.
    """
    board = found.board(name)
    if board.report is None or not board.is_final or board.report.winner is None:
        return False
    study, winner = found.durable.handles(name, board.report.winner.candidate.trial)
    said = _said(board)
    if study.user_attrs.get(ATTRIBUTE) == said:
        return False
    report, objective = board.report, board.study.objective
    link = f"[Robustness of {name}](/robustness/{name})"
    save_note(study, "\n\n".join([f"# {link}", *board.sentences, report.markdown()]))
    row = report.winner
    assert row is not None  # asked above
    score = f"mean {number(row.mean)} ± {number(row.sigma)}, score {number(row.score)}"
    seeds = ", ".join(map(str, report.ranking.seeds))
    place = f"rank {report.standing(row)} of {len(report.ranking.rows)}"
    warnings = [f"**Warning:** {warning}" for warning in report.warnings]
    save_note(winner, "\n\n".join([f"# PROMOTED: {place}", *warnings, f"{score} on seeds {seeds}. {link}"]))
    standings = [report.standing(one) for one in report.ranking.rows]
    searched_on, warnings = board.study.seeds_said, list(report.warnings)
    figure = promotion_figure(report.ranking, standings, name, objective.metric, searched_on, warnings)
    save_plotly_graph_object(study, figure, graph_object_id=PICTURE)
    study.set_user_attr(ATTRIBUTE, said)  # last: until it is there the rest is written again
    return True


@contextmanager
def projecting(found: Boards) -> Iterator[None]:
    """Keeps the dashboard up to date; what cannot be written is left for the next look, and said once."""
    over = threading.Event()
    complained: set[str] = set()
    shown: dict[str, StoredPromotion] = {}

    def look() -> None:
        while not over.is_set():
            try:
                for name, promotion in found.promotions().items():
                    if shown.get(name) != promotion:
                        project(found, name)
                        shown[name] = promotion
            except Exception as error:  # whatever the database says, the server goes on without it
                if (said := str(error)) not in complained:
                    logger.warning("the dashboard cannot show promotions: %s", said)
                    complained.add(said)
            over.wait(SECONDS)

    thread = threading.Thread(target=look, name="hpo-projection", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(SECONDS)


def _said(board: Board) -> dict[str, object]:
    report = board.report
    assert report is not None  # it is asked for promoted studies only
    row = report.winner
    assert row is not None
    return {
        "trial": row.candidate.trial,
        "mean": row.mean,
        "sigma": row.sigma,
        "score": row.score,
        "rule": report.ranking.rule.said(report.ranking.direction),
        "seeds": list(report.ranking.seeds),
        "results": [one.name for one in board.results],
        "page": f"/robustness/{board.study.name}",
        "digest": digest([report.candidates(), *report.warnings])[:16],
    }
