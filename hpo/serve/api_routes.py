"""The HTTP API, `/hpo/v1`."""

from __future__ import annotations

import hashlib
import mimetypes
import re
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Query, Response
from starlette.responses import FileResponse

from hpo.core.records import MAX_TRIALS
from hpo.serve.pages import study_fragment
from hpo.serve.views import StudyViews
from hpo.stats.names import RuleName, ddof_of
from hpo.study import NAME

Name = Annotated[str, Path(pattern=f"^{NAME}$", description="The study's name.")]
Number = Annotated[int, Path(ge=0, le=MAX_TRIALS, description="A trial's number.")]

INLINE_TYPES = ("image/png", "image/svg+xml")
"""Content types that a browser displays, besides plain text; it downloads all others."""

TEXT_SUFFIXES = (".csv", ".json", ".jsonl", ".log", ".md", ".tex", ".txt")


def api_routes(views: StudyViews) -> APIRouter:
    """Returns the routes of the HTTP API.

    Args:
        views: views of the studies that are served.
    """
    router = APIRouter(prefix="/hpo/v1", tags=["studies"])

    @router.get("/studies")
    def studies() -> list[dict[str, Any]]:
        """All studies in the storage: state, progress, incumbent, last activity, driver."""
        return [one.plain() for one in views.studies()]

    @router.get("/studies/{name}")
    def study(name: Name) -> dict[str, Any]:
        """State of one study, and its definition as last run."""
        return {**views.progress(name).plain(), "definition": views.study(name).content()}

    @router.get("/studies/{name}/trials")
    def trials(
        name: Name,
        offset: Annotated[int, Query(ge=0, le=MAX_TRIALS)] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> list[dict[str, Any]]:
        """Trials in order of their numbers."""
        return [one.plain() for one in views.trials(name, offset, limit)]

    @router.get("/studies/{name}/trials/{number}")
    def trial(name: Name, number: Number) -> dict[str, Any]:
        """One trial."""
        return views.trial(name, number)[0].plain()

    @router.get("/studies/{name}/trials/{number}/evaluations")
    def evaluations(name: Name, number: Number) -> list[dict[str, Any]]:
        """All evaluations of one trial, with the metrics of each epoch; paths on the server are left out."""
        return [one.plain() for one in views.trial(name, number)[1]]

    @router.get("/studies/{name}/ranking")
    def ranking(
        name: Name,
        rule: RuleName | None = None,
        lambda_: Annotated[float | None, Query(alias="lambda", ge=0, le=1e6, allow_inf_nan=False)] = None,
        ddof: Literal["0", "1", "unbiased"] | None = None,
    ) -> dict[str, Any]:
        """The newest promotion, ranked by another rule, lambda or ddof if one is given."""
        return views.ranking(name, rule, lambda_, None if ddof is None else ddof_of(ddof)).plain()

    @router.get("/studies/{name}/board")
    def board(name: Name) -> dict[str, Any]:
        """All data of the robustness page: progress, promotion, curves, results, decomposition."""
        return views.view(name).values()

    @router.get("/studies/{name}/fragment", include_in_schema=False)
    def fragment(name: Name, if_none_match: Annotated[str | None, Header()] = None) -> Response:
        return unless_same(study_fragment(views.view(name)), if_none_match)

    @router.get("/studies/{name}/results")
    def results(name: Name) -> list[dict[str, Any]]:
        """The results folders of the newest promotion, with their files."""
        return [asdict(one) for one in views.results(name)]

    @router.get("/studies/{name}/results/{folder}/{path:path}", response_class=FileResponse)
    def file(name: Name, folder: str, path: str) -> FileResponse:
        """A file of the results."""
        kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
        if path.endswith(TEXT_SUFFIXES):
            kind = "text/plain; charset=utf-8"
        local = views.file(name, folder, path)
        response = FileResponse(
            local, media_type=kind, filename=local.name, content_disposition_type=_disposition(kind)
        )
        response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'; style-src 'unsafe-inline'"
        return response

    return router


def unless_same(content: str, known: str | None) -> Response:
    """Returns a page, or status 304 if the client already has it.

    Args:
        content: HTML of the page.
        known: value of the request's header `If-None-Match`; None: it has none.
    """
    etag = f'"{hashlib.sha256(content.encode()).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    if matches(etag, known):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="text/html", headers=headers)


def matches(etag: str, known: str | None) -> bool:
    """Whether a header `If-None-Match` matches an ETag: it is a list of ETags, possibly weak ones, or `*` for any.

    Args:
        etag: ETag of the page, with its quotes.
        known: value of the header; None: there is none.
    """
    listed = (known or "").strip()
    return listed == "*" or etag in re.findall(r'"[^"]*"', listed)


def _disposition(media_type: str) -> str:
    return "inline" if media_type in INLINE_TYPES or media_type.startswith("text/plain") else "attachment"
