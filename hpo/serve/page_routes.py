"""The routes of the web pages."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, FastAPI, Header, Path, Query, Request, Response
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse

from hpo.core.errors import UsageError
from hpo.serve.api_routes import unless_same
from hpo.serve.auth import COOKIE, address_of, same, session_of, too_many
from hpo.serve.pages import STATIC, api_page, compare_page, login_page, studies_fragment, studies_page, study_page
from hpo.serve.settings import Settings
from hpo.serve.token_attempts import TokenAttempts
from hpo.serve.views import NotFound, StudyViews
from hpo.study import NAME

MAX_FORM_FIELDS = 5


def page_routes(app: FastAPI, views: StudyViews, settings: Settings, attempts: TokenAttempts) -> APIRouter:
    """Returns the routes of the pages.

    Args:
        app: application whose HTTP API one page describes.
        views: views of the studies that are served.
        settings: settings of the server.
        attempts: wrong tokens sent so far.
    """
    router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

    @router.get("/")
    def start() -> RedirectResponse:
        return RedirectResponse("/robustness", status_code=302)

    @router.get("/robustness")
    def studies(fragment: bool = False, if_none_match: Annotated[str | None, Header()] = None) -> Response:
        listed, can_change = views.listed(), settings.token is not None
        if fragment:
            return unless_same(studies_fragment(listed, views.storage_url, can_change), if_none_match)
        return HTMLResponse(studies_page(listed, views.storage_url, can_change))

    @router.get("/robustness/{name}")
    def study(name: Annotated[str, Path(pattern=f"^{NAME}$")]) -> str:
        return study_page(views.view(name))

    @router.get("/compare")
    def compare(
        study: Annotated[list[str] | None, Query(max_length=2)] = None,
        trial: Annotated[list[int] | None, Query(max_length=2)] = None,
    ) -> str:
        chosen = [views.view(name) for name in study or []]
        return compare_page(views.names(), chosen, trial or [])

    @router.get("/hpo/docs")
    def docs() -> str:
        return api_page(app.openapi())

    @router.get("/healthz", response_class=Response)
    async def healthz() -> Response:
        return Response("ok", media_type="text/plain")

    @router.get("/hpo/static/{name}", response_class=FileResponse)
    def static(name: str) -> FileResponse:
        if name not in {path.name for path in STATIC.iterdir()}:
            raise NotFound(f"no static file {name!r}")
        return FileResponse(STATIC / name)

    @router.get("/login")
    async def login_form(goal: str = "/robustness") -> str:
        return login_page(wrong=False, goal=_safe_path(goal))

    @router.post("/login")
    async def login(request: Request) -> Response:
        try:
            form = parse_qs((await request.body()).decode("utf-8", "replace"), max_num_fields=MAX_FORM_FIELDS)
        except ValueError as error:
            raise UsageError(f"a login form has the fields token and goal, and at most {MAX_FORM_FIELDS}") from error
        goal, address = _safe_path(form.get("goal", ["/robustness"])[0]), address_of(request.scope)
        if settings.token is None:
            raise UsageError("this server has no token; its pages need no login")
        wait = attempts.wait(address)
        if wait:
            return too_many(wait)
        if not same(form.get("token", [""])[0], settings.token):
            attempts.record_wrong(address)
            return HTMLResponse(login_page(wrong=True, goal=goal), status_code=401)
        attempts.record_right(address)
        response = RedirectResponse(goal, status_code=303)
        secure = request.url.scheme == "https"
        response.set_cookie(COOKIE, session_of(settings.token), httponly=True, samesite="strict", secure=secure)
        return response

    return router


def _safe_path(goal: str) -> str:
    """Returns a path on this server, so that a login never redirects to another site."""
    return goal if re.fullmatch(r"/(?!/)[\w.~/%?=&+:@-]*", goal, re.ASCII) else "/robustness"
