"""Optuna's dashboard, as it comes, over the same connection to the database."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna_dashboard

from hpo.api.board import Boards


def dashboard(found: Boards, artifacts: Path | None = None) -> Callable[..., Any]:
    """Returns the dashboard as a WSGI application.

    Args:
        found: whose storage; its trials are kept in memory, without which every look would read them all again.
        artifacts: folder of its artifacts; None: it has none.
    """
    os.environ.setdefault("OPTUNA_DASHBOARD_NO_TELEMETRY", "1")
    store = None
    if artifacts is not None:
        from optuna.artifacts import FileSystemArtifactStore

        store = FileSystemArtifactStore(str(artifacts))
    return optuna_dashboard.wsgi(found.durable.storage, artifact_store=store)
