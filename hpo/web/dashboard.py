"""Optuna's dashboard, as it comes, over the same connection to the database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optuna_dashboard

from hpo.api.board import Boards


def dashboard(found: Boards) -> Callable[..., Any]:
    """Returns the dashboard as a WSGI application, without artifacts: files of users are served by nobody.

    Args:
        found: whose storage; its trials are kept in memory, without which every look would read them all again.
    """
    made: Callable[..., Any] = optuna_dashboard.wsgi(found.durable.storage)
    return made
