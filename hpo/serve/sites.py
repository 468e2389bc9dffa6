"""The pages, for people."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, FastAPI, Header, Path, Request, Response
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse

from hpo.core.errors import UsageError
from hpo.figures.report import script
from hpo.serve.attempts import Attempts
from hpo.serve.guard import COOKIE, address_of, same, session_of, too_many
from hpo.serve.interface import unless_same
from hpo.serve.pages import STATIC, board_page, interface_page, login_page, studies_fragment, studies_page
from hpo.serve.settings import Settings
from hpo.serve.views import NotThere, StudyViews
from hpo.study import NAME

DAY = 24 * 3600
MOST_FIELDS = 5


def sites(app: FastAPI, found: StudyViews, settings: Settings, attempts: Attempts) -> APIRouter:
    """Returns the routes of the pages.

    Args:
        app: whose interface is described on one of them.
        found: the studies that are served.
        settings: of the server.
        attempts: who has sent wrong tokens.
    """
    router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

    @router.get("/robustness")
    def studies(fragment: bool = False, if_none_match: Annotated[str | None, Header()] = None) -> Response:
        shown = found.studies()
        if fragment:
            return unless_same(studies_fragment(shown, found.said), if_none_match)
        return HTMLResponse(studies_page(shown, found.said))

    @router.get("/robustness/{name}")
    def board(name: Annotated[str, Path(pattern=f"^{NAME}$")]) -> str:
        return board_page(found.board(name))

    @router.get("/hpo/docs")
    def docs() -> str:
        return interface_page(app.openapi())

    @router.get("/healthz", response_class=Response)
    async def healthz() -> Response:
        return Response("ok", media_type="text/plain")

    @router.get("/hpo/static/plotly.min.js", response_class=Response)
    def plotly() -> Response:
        return Response(_plotly(), media_type="text/javascript", headers={"Cache-Control": f"max-age={DAY}"})

    @router.get("/hpo/static/{name}", response_class=FileResponse)
    def static(name: str) -> FileResponse:
        if name not in {path.name for path in STATIC.iterdir()}:
            raise NotThere(f"no static file {name!r}")
        return FileResponse(STATIC / name)

    @router.get("/login")
    async def ask(goal: str = "/robustness") -> str:
        return login_page(wrong=False, goal=_own(goal))

    @router.post("/login")
    async def login(request: Request) -> Response:
        try:
            form = parse_qs((await request.body()).decode("utf-8", "replace"), max_num_fields=MOST_FIELDS)
        except ValueError as error:
            raise UsageError(f"a login has the fields token and goal, and at most {MOST_FIELDS} in all") from error
        goal, address = _own(form.get("goal", ["/robustness"])[0]), address_of(request.scope)
        if settings.token is None:
            raise UsageError("this server has no token; look at its pages without one")
        wait = attempts.wait(address)
        if wait:
            return too_many(wait)
        if not same(form.get("token", [""])[0], settings.token):
            attempts.wrong(address)
            return HTMLResponse(login_page(wrong=True, goal=goal), status_code=401)
        attempts.right(address)
        answer = RedirectResponse(goal, status_code=303)
        secure = request.url.scheme == "https"
        answer.set_cookie(COOKIE, session_of(settings.token), httponly=True, samesite="strict", secure=secure)
        return answer

    return router


def _own(goal: str) -> str:
    """Returns a path of this server: a link to its login must not lead on to another."""
    return goal if re.fullmatch(r"/(?!/)[\w.~/%?=&+:@-]*", goal, re.ASCII) else "/robustness"


@lru_cache
def _plotly() -> bytes:
    return script().encode()
