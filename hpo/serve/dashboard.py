"""Optuna's dashboard, as it comes, over the same connection to the database."""

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

NONSENSE = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
"""What the dashboard raises where a request asks for something that it did not expect, e.g. study 10^30."""

LARGEST_ID = 2**31 - 1
"""Of a study or a trial; databases refuse larger ones as an error."""


def dashboard(found: StudyViews) -> Callable[..., Any]:
    """Returns the dashboard as a WSGI application, without artifacts: files of users are served by nobody.

    Args:
        found: whose storage; its trials are kept in memory, without which every look would read them all again.
    """
    made: Any = optuna_dashboard.wsgi(found.durable.storage)
    made.catchall = False  # bottle would print a traceback on stdout
    logging.getLogger("optuna_dashboard._bottle_util").addFilter(_CAUGHT)
    secrets = known_secrets()

    def answered(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        def refused(status: int, title: str, detail: str) -> Iterable[bytes]:
            start_response(f"{status} {responses[status]}", [("Content-Type", PROBLEM)])
            return [problem_text(status, title, detail).encode()]

        parts = str(environ["PATH_INFO"]).split("/")
        if any(part.isdecimal() and (len(part) > 10 or int(part) > LARGEST_ID) for part in parts):
            return refused(404, "Not there", "no study or trial has such a number")
        begun: list[tuple[Any, ...]] = []
        _CAUGHT.error.value = None
        try:
            answer: Iterable[bytes] = made(environ, lambda *said: begun.append(said))
            if _CAUGHT.error.value is not None:
                raise _CAUGHT.error.value
        except Exception as error:  # whatever its handlers raise, they have not begun to answer
            reason = outage_reason(error)
            if reason is not None:
                return refused(503, "The database is away", redacted(reason, secrets))
            if isinstance(error, NONSENSE) and environ["REQUEST_METHOD"] == "GET":
                return refused(400, "Cannot be used", "Optuna's dashboard cannot answer such a request")
            raise
        for said in begun:
            start_response(*said)
        return answer

    return answered


class _Caught(logging.Filter):
    """Keeps the error that the dashboard has caught in this thread, and would only log."""

    def __init__(self) -> None:
        super().__init__()
        self.error = _Error()

    def filter(self, record: logging.LogRecord) -> bool:
        self.error.value = sys.exc_info()[1]
        return self.error.value is None


class _Error(threading.local):
    value: BaseException | None = None


_CAUGHT = _Caught()
