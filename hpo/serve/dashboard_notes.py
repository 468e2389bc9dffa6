"""Promotions in Optuna's dashboard, as notes, a figure and attributes. The data themselves are in our tables."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from hpo.promotion.notes import note_promotion
from hpo.serve.views import StudyViews
from hpo.store import StoredPromotion

POLL_SECONDS = 5.0
"""Seconds between two checks for promotions that the dashboard does not show yet."""

logger = logging.getLogger(__name__)


def note_newest(views: StudyViews, name: str) -> bool:
    """Writes a study's newest promotion to the dashboard, and returns whether it was missing there.

    `hpo promote` does this itself; this is for promotions of older versions.

    Args:
        views: views of the studies that are served.
        name: name of the study.
    """
    view = views.view(name)
    if view.report is None or not view.is_final:
        return False
    return note_promotion(views.durable, view.report, view.progress.results)


@contextmanager
def noting_promotions(views: StudyViews) -> Iterator[None]:
    """Writes new promotions to the dashboard until the block ends; errors are logged once and retried.

    Args:
        views: views of the studies that are served.
    """
    ended = threading.Event()
    logged: set[str] = set()
    noted: dict[str, StoredPromotion] = {}

    def update() -> None:
        while not ended.is_set():
            try:
                for name, promotion in views.promotions().items():
                    if noted.get(name) != promotion:
                        note_newest(views, name)
                        noted[name] = promotion
            except Exception as error:  # any database error: the server continues without it
                if (message := str(error)) not in logged:
                    logger.warning("the dashboard cannot show promotions: %s", message)
                    logged.add(message)
            ended.wait(POLL_SECONDS)

    thread = threading.Thread(target=update, name="hpo-dashboard-notes", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(POLL_SECONDS)
