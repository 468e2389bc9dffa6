"""Optuna's dashboard, unchanged, with the same database connection."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterable
from http.client import responses
from typing import Any

import optuna_dashboard

from hpo.core.redaction import known_secrets, redacted
from hpo.serve.problems import PROBLEM, problem_text
from hpo.serve.views import StudyViews
from hpo.store import outage_reason

BAD_REQUEST_ERRORS = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
"""Errors that the dashboard raises for requests that it does not expect, e.g. for study 10^30."""

MAX_ID = 2**31 - 1
"""Largest id of a study or a trial; databases raise an error for larger ones."""


def dashboard(views: StudyViews) -> Callable[..., Any]:
    """Returns the dashboard as a WSGI application without artifacts: it does not serve users' files.

    Args:
        views: views of the studies; their storage caches trials, which the dashboard would otherwise reload each time.
    """
    wsgi: Any = optuna_dashboard.wsgi(views.durable.storage)
    wsgi.catchall = False  # bottle would print a traceback on stdout
    logging.getLogger("optuna_dashboard._bottle_util").addFilter(_CAUGHT)
    secrets = known_secrets()

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        def problem(status: int, title: str, detail: str) -> Iterable[bytes]:
            start_response(f"{status} {responses[status]}", [("Content-Type", PROBLEM)])
            return [problem_text(status, title, detail).encode()]

        parts = str(environ["PATH_INFO"]).split("/")
        if any(part.isdecimal() and (len(part) > 10 or int(part) > MAX_ID) for part in parts):
            return problem(404, "Not found", "no study or trial has such a number")
        started: list[tuple[Any, ...]] = []
        _CAUGHT.error.value = None
        try:
            response: Iterable[bytes] = wsgi(environ, lambda *arguments: started.append(arguments))
            if _CAUGHT.error.value is not None:
                raise _CAUGHT.error.value
        except Exception as error:  # handlers may raise anything; the response has not started yet
            reason = outage_reason(error)
            if reason is not None:
                return problem(503, "Database unavailable", redacted(reason, secrets))
            if isinstance(error, BAD_REQUEST_ERRORS) and environ["REQUEST_METHOD"] == "GET":
                return problem(400, "Bad request", "Optuna's dashboard cannot answer this request")
            raise
        for arguments in started:
            start_response(*arguments)
        return response

    return app


class _CaughtErrors(logging.Filter):
    """Keeps the error that the dashboard caught in this thread, which it would only log."""

    def __init__(self) -> None:
        super().__init__()
        self.error = _ThreadError()

    def filter(self, record: logging.LogRecord) -> bool:
        self.error.value = sys.exc_info()[1]
        return self.error.value is None


class _ThreadError(threading.local):
    value: BaseException | None = None


_CAUGHT = _CaughtErrors()
