"""Errors as responses in problem+json (RFC 9457)."""

from __future__ import annotations

import json
from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from hpo.core.errors import (
    HpoError,
    RetryLater,
    StorageLost,
    StorageUnavailable,
    StudyBusy,
    StudyNotFound,
    StudyPaused,
    UsageError,
)
from hpo.serve.views import NotFound

PROBLEM = "application/problem+json"

STATUS: Mapping[type[HpoError], tuple[int, str]] = {
    NotFound: (404, "Not found"),
    StudyBusy: (409, "Busy"),
    StudyPaused: (409, "Paused"),
    StudyNotFound: (404, "Not found"),
    StorageUnavailable: (503, "Database unavailable"),
    RetryLater: (503, "Try again later"),
    StorageLost: (503, "Database unavailable"),
    UsageError: (400, "Bad request"),
}
"""Status and title by kind of error; the first match counts."""


def problem(status: int, title: str, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Returns the response for an error."""
    return Response(problem_text(status, title, detail), status, dict(headers or {}), PROBLEM)


def problem_text(status: int, title: str, detail: str) -> str:
    """Returns the JSON for an error, of content type `PROBLEM`."""
    return json.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail})


def add_problem_handlers(app: FastAPI) -> None:
    """Makes an app respond to errors with problems instead of tracebacks."""

    @app.exception_handler(HpoError)
    async def _ours(_: Request, error: HpoError) -> Response:
        known = (entry for kind, entry in STATUS.items() if isinstance(error, kind))
        status, title = next(known, (500, "Internal error"))
        return problem(status, title, str(error))

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> Response:
        detail = "; ".join(f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in error.errors())
        return problem(422, "Invalid request", detail)

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> Response:
        return problem(error.status_code, str(error.detail), str(error.detail), error.headers)
