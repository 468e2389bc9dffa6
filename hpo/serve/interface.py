"""The HTTP interface for programs, `/hpo/v1`."""

from __future__ import annotations

import hashlib
import mimetypes
import re
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Query, Response
from starlette.responses import FileResponse

from hpo.core.records import MAX_TRIALS
from hpo.serve.pages import board_fragment
from hpo.serve.views import StudyViews
from hpo.stats.names import RuleName, ddof_of
from hpo.study import NAME

Name = Annotated[str, Path(pattern=f"^{NAME}$", description="The study's name.")]
Number = Annotated[int, Path(ge=0, le=MAX_TRIALS, description="A trial's number.")]

SHOWN = ("image/png", "image/svg+xml")
"""Kinds of files that a browser may draw; anything else is text, or is kept."""

TEXTS = (".csv", ".json", ".jsonl", ".log", ".md", ".tex", ".txt")


def interface(found: StudyViews) -> APIRouter:
    """Returns the routes of the interface.

    Args:
        found: the studies that are served.
    """
    router = APIRouter(prefix="/hpo/v1", tags=["studies"])

    @router.get("/studies")
    def studies() -> list[dict[str, Any]]:
        """Every study in the storage: state, progress, incumbent, last activity, who drives it."""
        return [one.plain() for one in found.studies()]

    @router.get("/studies/{name}")
    def study(name: Name) -> dict[str, Any]:
        """How one study stands, and its definition as it was last run."""
        return {**found.progress(name).plain(), "definition": found.study(name).content()}

    @router.get("/studies/{name}/trials")
    def trials(
        name: Name,
        offset: Annotated[int, Query(ge=0, le=MAX_TRIALS)] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> list[dict[str, Any]]:
        """Trials in the order of their numbers."""
        return [asdict(one) for one in found.trials(name, offset, limit)]

    @router.get("/studies/{name}/trials/{number}")
    def trial(name: Name, number: Number) -> dict[str, Any]:
        """One trial."""
        return asdict(found.trial(name, number)[0])

    @router.get("/studies/{name}/trials/{number}/evaluations")
    def evaluations(name: Name, number: Number) -> list[dict[str, Any]]:
        """Every training of one trial, with each epoch's metrics; paths on the server are left out."""
        return [{**asdict(one), "files": None} for one in found.trial(name, number)[1]]

    @router.get("/studies/{name}/ranking")
    def ranking(
        name: Name,
        rule: RuleName | None = None,
        lambda_: Annotated[float | None, Query(alias="lambda", ge=0, le=1e6, allow_inf_nan=False)] = None,
        ddof: Literal["0", "1", "unbiased"] | None = None,
    ) -> dict[str, Any]:
        """The newest promotion, ranked under another rule, lambda or ddof if one is given."""
        return found.ranking(name, rule, lambda_, None if ddof is None else ddof_of(ddof)).plain()

    @router.get("/studies/{name}/board")
    def board(name: Name) -> dict[str, Any]:
        """All that the robustness page shows: progress, promotion, curves, results, decomposition."""
        return found.board(name).values()

    @router.get("/studies/{name}/fragment", include_in_schema=False)
    def fragment(name: Name, if_none_match: Annotated[str | None, Header()] = None) -> Response:
        return unless_same(board_fragment(found.board(name)), if_none_match)

    @router.get("/studies/{name}/results")
    def results(name: Name) -> list[dict[str, Any]]:
        """The newest promotion's results folders and their files."""
        return [asdict(one) for one in found.results(name)]

    @router.get("/studies/{name}/results/{folder}/{path:path}", response_class=FileResponse)
    def file(name: Name, folder: str, path: str) -> FileResponse:
        """A file of the results."""
        kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
        if path.endswith(TEXTS):
            kind = "text/plain; charset=utf-8"
        at = found.file(name, folder, path)
        sent = FileResponse(at, media_type=kind, filename=at.name, content_disposition_type=_disposition(kind))
        sent.headers["Content-Security-Policy"] = "sandbox; default-src 'none'; style-src 'unsafe-inline'"
        return sent

    return router


def unless_same(content: str, known: str | None) -> Response:
    """Returns a page, or that it has not changed since it was sent with that mark."""
    mark = f'"{hashlib.sha256(content.encode()).hexdigest()[:32]}"'
    headers = {"ETag": mark, "Cache-Control": "no-cache"}
    if is_known(mark, known):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="text/html", headers=headers)


def is_known(mark: str, known: str | None) -> bool:
    """Whether a header `If-None-Match` names a mark: it is a list of them, each perhaps called weak, or `*` for any."""
    said = (known or "").strip()
    return said == "*" or mark in re.findall(r'"[^"]*"', said)


def _disposition(kind: str) -> str:
    return "inline" if kind in SHOWN or kind.startswith("text/plain") else "attachment"
