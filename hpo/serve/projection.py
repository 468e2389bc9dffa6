"""Promotions as Optuna's dashboard can show them: notes, a picture, attributes. What they say is in our tables."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from hpo.promotion.notes import note_promotion
from hpo.serve.views import StudyViews
from hpo.store import StoredPromotion

SECONDS = 5.0
"""Between two looks for promotions that the dashboard does not show yet."""

logger = logging.getLogger(__name__)


def project(found: StudyViews, name: str) -> bool:
    """Writes a study's newest promotion to where the dashboard looks, and returns whether it was not there yet.

    `hpo promote` does so itself; this is for promotions that an older version made.

    Args:
        found: the studies that are served.
        name: of the study whose promotion is projected.
    """
    board = found.board(name)
    if board.report is None or not board.is_final:
        return False
    return note_promotion(found.durable, board.report, board.progress.results)


@contextmanager
def projecting(found: StudyViews) -> Iterator[None]:
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
