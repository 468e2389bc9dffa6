"""Errors as problem+json (RFC 9457)."""

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
from hpo.serve.views import NotThere

PROBLEM = "application/problem+json"

STATUS: Mapping[type[HpoError], tuple[int, str]] = {
    NotThere: (404, "Not there"),
    StudyBusy: (409, "Busy"),
    StudyPaused: (409, "Paused"),
    StudyNotFound: (404, "Not there"),
    StorageUnavailable: (503, "The database is away"),
    RetryLater: (503, "Not now"),
    StorageLost: (503, "The database is away"),
    UsageError: (400, "Cannot be used"),
}
"""The first that fits."""


def problem(status: int, title: str, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Returns an error as an answer."""
    return Response(problem_text(status, title, detail), status, dict(headers or {}), PROBLEM)


def problem_text(status: int, title: str, detail: str) -> str:
    """Returns an error as the JSON of an answer of kind `PROBLEM`."""
    return json.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail})


def tell_problems(app: FastAPI) -> None:
    """Lets the app answer with problems, and never with a traceback."""

    @app.exception_handler(HpoError)
    async def _ours(_: Request, error: HpoError) -> Response:
        status, title = next((said for kind, said in STATUS.items() if isinstance(error, kind)), (500, "Failed"))
        return problem(status, title, str(error))

    @app.exception_handler(RequestValidationError)
    async def _wrong(_: Request, error: RequestValidationError) -> Response:
        said = "; ".join(f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in error.errors())
        return problem(422, "Cannot be used", said)

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> Response:
        return problem(error.status_code, str(error.detail), str(error.detail), error.headers)
