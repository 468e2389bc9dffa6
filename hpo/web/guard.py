"""Who may do what, and what every answer says to the browser. It stands before everything, Optuna's dashboard included.

The dashboard has no users of its own, deletes studies when it is asked to, and serves uploaded files under our origin.
"""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hpo.web.problems import problem
from hpo.web.settings import Settings

COOKIE = "hpo_session"

LARGEST_BODY = 1_000_000
"""Bytes of a request."""

OPEN = ("/login", "/healthz", "/hpo/static/board.css")
"""What is answered without a token."""

READING = ("GET", "HEAD", "OPTIONS")

POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; script-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
SANDBOX = "sandbox; default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'"


class Guard:
    """Refuses what is not allowed before anything else hears of it.

    Args:
        app: what is guarded.
        settings: of the server.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers, path = MutableHeaders(scope=scope), str(scope["path"])
        headers.setdefault("accept-encoding", "identity")  # the dashboard's static files fail without one

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                _harden(MutableHeaders(scope=message), path)
            await send(message)

        answer = self._refusal(scope, Headers(scope=scope), path)
        if answer is not None:
            await answer(scope, receive, send_guarded)
        else:
            await self._app(scope, _bounded(receive), send_guarded)

    def _refusal(self, scope: Scope, headers: Headers, path: str) -> Response | None:
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > LARGEST_BODY:
            return problem(413, "Too large", f"a request has at most {LARGEST_BODY} bytes")
        if path in OPEN:
            return None
        is_bearer, is_known = self._known(headers)
        if self._settings.token is not None and not is_known:
            if scope["method"] == "GET" and "text/html" in headers.get("accept", ""):
                return RedirectResponse(f"/login?goal={quote(path)}", status_code=303)
            return problem(
                401,
                "Token wanted",
                "send the server's token: Authorization: Bearer TOKEN",
                {"WWW-Authenticate": "Bearer"},
            )
        if scope["method"] in READING:
            return None
        if self._settings.token is None:
            return problem(
                403, "Read-only", "start the server with a token (--token-file or HPO_TOKEN) to change things"
            )
        if not is_bearer and not _is_same_origin(headers):
            return problem(
                403, "Another site's request", "what changes something must come from this server's own pages"
            )
        if not path.startswith("/hpo/") and not self._settings.writable_dashboard:
            return problem(403, "Read-only", "Optuna's dashboard is read-only here; see --writable-dashboard")
        return None

    def _known(self, headers: Headers) -> tuple[bool, bool]:
        """Returns whether the token itself was sent, and whether it or the cookie was."""
        token = self._settings.token
        if token is None:
            return False, False
        kind, _, sent = headers.get("authorization", "").partition(" ")
        is_bearer = kind.lower() == "bearer" and same(sent.strip(), token)
        cookie = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        return is_bearer, is_bearer or same(cookie, session_of(token))


def session_of(token: str) -> str:
    """Returns what the cookie holds: it lets in, but the token cannot be had from it."""
    return hmac.new(token.encode(), b"hpo session", hashlib.sha256).hexdigest()


def same(one: str, other: str) -> bool:
    """Whether two secrets are equal; how long it takes to say says nothing of where they differ."""
    return hmac.compare_digest(one.encode(), other.encode())


def _is_same_origin(headers: Headers) -> bool:
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc == headers.get("host", "")


def _bounded(receive: Receive) -> Receive:
    """Ends a request that sends more than it may without having said so."""
    total = 0

    async def received() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        return {"type": "http.disconnect"} if total > LARGEST_BODY else message

    return received


def _harden(headers: MutableHeaders, path: str) -> None:
    headers["X-Content-Type-Options"] = "nosniff"
    headers["X-Frame-Options"] = "DENY"
    headers["Referrer-Policy"] = "same-origin"
    headers["Cross-Origin-Opener-Policy"] = "same-origin"
    if path.startswith("/artifacts/"):
        headers["Content-Security-Policy"] = SANDBOX
        del headers["access-control-allow-origin"]
    elif path.startswith("/csv/"):
        headers["Content-Disposition"] = "attachment"
    else:
        headers.setdefault("Content-Security-Policy", POLICY)
