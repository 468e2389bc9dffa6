"""Access control and security headers for all requests, including those to Optuna's dashboard.

The dashboard has no access control: it deletes studies on request, and serves uploaded files from the same origin.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import math
import re
import traceback
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hpo.core.redaction import known_secrets, redacted
from hpo.serve.limits import MAX_HEAD_BYTES
from hpo.serve.problems import problem
from hpo.serve.settings import Settings
from hpo.serve.token_attempts import TokenAttempts

COOKIE = "hpo_session"

MAX_BODY_BYTES = 1_000_000
"""Maximum size of a request's body in bytes."""

LOGIN = "/login"
PUBLIC_PATHS = (LOGIN, "/healthz", "/hpo/static/pages.css")
"""Paths that can be read without a token."""

READ_METHODS = ("GET", "HEAD")
METHODS = (*READ_METHODS, "OPTIONS", "POST", "PUT", "PATCH", "DELETE")

POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; script-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
SANDBOX = "sandbox; default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'"

logger = logging.getLogger(__name__)


class AuthMiddleware:
    """Rejects requests that are not allowed before the application sees them.

    Args:
        app: application that is protected.
        settings: settings of the server.
        attempts: wrong tokens sent so far.
    """

    def __init__(self, app: ASGIApp, settings: Settings, attempts: TokenAttempts) -> None:
        self._app, self._settings, self._attempts = app, settings, attempts
        self._secrets = known_secrets()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path, has_started = str(scope["path"]), False

        async def send_hardened(message: Message) -> None:
            nonlocal has_started
            if message["type"] == "http.response.start":
                has_started = True
                _harden(MutableHeaders(scope=message), path)
            await send(message)

        try:
            await self._respond(scope, path, receive, send_hardened)
        except Exception as error:  # any error: the client gets a response, and the log shows no secret
            trace = "".join(traceback.format_exception(error))
            logger.error("%s %s failed: %s", scope["method"], quote(path)[:200], redacted(trace, self._secrets))
            if not has_started:
                await problem(500, "Internal error", "see the server's log")(scope, receive, send_hardened)

    async def _respond(self, scope: Scope, path: str, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        rejection = self._rejection(scope, headers, path)
        if rejection is not None:
            await rejection(scope, receive, send)
            return
        body = await _read_body(receive)
        if body is None:  # the client has disconnected
            return
        rejection = _body_rejection(body, headers, path)
        if rejection is not None:
            await rejection(scope, receive, send)
            return
        method = "GET" if scope["method"] == "HEAD" else scope["method"]  # uvicorn leaves out the body
        inner = {**scope, "method": method, "headers": list(scope["headers"])}
        MutableHeaders(scope=inner).setdefault("accept-encoding", "identity")  # the dashboard's files fail without one
        await self._app(inner, _replay(body, receive), send)

    def _rejection(self, scope: Scope, headers: Headers, path: str) -> Response | None:
        method = scope["method"]
        if _head_size(scope) > MAX_HEAD_BYTES:  # uvicorn itself checks only a head that arrives in several parts
            return problem(431, "Too large", f"the head of a request has at most {MAX_HEAD_BYTES} bytes")
        if not self._is_known_host(headers):
            return problem(400, "Unknown host", "this server does not serve that host name; see --allow-host")
        if method not in METHODS:
            allow = ", ".join(METHODS)
            return problem(405, "Method not allowed", f"expected one of {allow}", {"Allow": allow})
        if any(letter < " " or letter == "\x7f" for letter in path) or not path.startswith("/"):
            return problem(400, "Bad request", "a path must begin with / and have no control characters")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > 12 or int(length) > MAX_BODY_BYTES:
            return problem(413, "Too large", f"a request has at most {MAX_BODY_BYTES} bytes", {"Connection": "close"})
        if method == "OPTIONS":
            return Response(status_code=204, headers={"Allow": ", ".join(METHODS)})
        if path in PUBLIC_PATHS and method in READ_METHODS:
            return None
        if path == LOGIN and method == "POST":
            return None if _is_own_form(headers) else _cross_site()
        rejection, is_bearer = self._without_token(scope, headers, path)
        if rejection is not None or method in READ_METHODS:
            return rejection
        if self._settings.token is None:
            return problem(
                403, "Read-only", "start the server with a token (--token-file or HPO_TOKEN) to change things"
            )
        if not is_bearer and not _is_same_origin(headers):
            return _cross_site()
        if not path.startswith("/hpo/") and not self._settings.writable_dashboard:
            return problem(403, "Read-only", "Optuna's dashboard is read-only here; see --writable-dashboard")
        return None

    def _is_known_host(self, headers: Headers) -> bool:
        """Whether the host is one of the server's names: other names may resolve to it too (DNS rebinding)."""
        hosts = self._settings.hosts
        if "*" in hosts:
            return True
        sent = headers.getlist("host")
        name = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(?::[0-9]{0,5})?", sent[0]) if len(sent) == 1 else None
        return name is not None and name[1].lower().rstrip(".") in {host.lower() for host in hosts}

    def _without_token(self, scope: Scope, headers: Headers, path: str) -> tuple[Response | None, bool]:
        """Returns the response to a request without the token, None with it; and whether it is a bearer token."""
        token = self._settings.token
        if token is None or same(cookie_parser(headers.get("cookie", "")).get(COOKIE, ""), session_of(token)):
            return None, False
        kind, _, sent = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            address = address_of(scope)
            wait = self._attempts.wait(address)
            if wait:
                return too_many(wait), False
            if same(sent.strip(), token):
                self._attempts.record_right(address)
                return None, True
            self._attempts.record_wrong(address)
        if scope["method"] in READ_METHODS and "text/html" in headers.get("accept", ""):
            return RedirectResponse(f"{LOGIN}?goal={quote(path)}", status_code=303), False
        detail, scheme = "send the server's token: Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"}
        return problem(401, "Token required", detail, scheme), False


def _cross_site() -> Response:
    return problem(403, "Cross-site request", "changes must be requested from this server's own pages")


def too_many(wait: float) -> Response:
    """Returns the response to a client that has sent too many wrong tokens.

    Args:
        wait: seconds until it may try again.
    """
    seconds = math.ceil(wait)
    detail = f"too many wrong tokens were sent; try again in {seconds} s"
    return problem(429, "Too many attempts", detail, {"Retry-After": str(seconds)})


def address_of(scope: Scope) -> str:
    """Returns the address that a request comes from. Headers of proxies that name another client are not trusted."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def session_of(token: str) -> str:
    """Returns the value of the session cookie, from which the token cannot be computed."""
    return hmac.new(token.encode(), b"hpo session", hashlib.sha256).hexdigest()


def same(one: str, other: str) -> bool:
    """Whether two secrets are equal, in a time that depends neither on where they differ nor on their lengths."""
    digests = (hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in (one, other))
    return hmac.compare_digest(*digests)


def _is_same_origin(headers: Headers) -> bool:
    origin = headers.get("origin")
    try:
        return origin is not None and urlsplit(origin).netloc == headers.get("host", "")
    except ValueError:  # not a URL
        return False


def _is_own_form(headers: Headers) -> bool:
    return "origin" not in headers or _is_same_origin(headers)


def _head_size(scope: Scope) -> int:
    lines = sum(len(name) + len(value) + 4 for name, value in scope["headers"])
    return lines + len(scope.get("raw_path") or b"") + len(scope["query_string"])


async def _read_body(receive: Receive) -> bytes | None:
    """Returns a request's body, at most one byte more than allowed; None if the client has disconnected.

    It is read before the request is handled in a thread, so that a slow sender does not hold one. `limits` ends slow
    connections.
    """
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if not message.get("more_body", False) or len(body) > MAX_BODY_BYTES:
            return bytes(body[: MAX_BODY_BYTES + 1])


def _body_rejection(body: bytes, headers: Headers, path: str) -> Response | None:
    if len(body) > MAX_BODY_BYTES:
        return problem(413, "Too large", f"a request has at most {MAX_BODY_BYTES} bytes", {"Connection": "close"})
    content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    expected = "application/x-www-form-urlencoded" if path == LOGIN else "application/json"
    if body and content_type != expected:
        return problem(415, "Unsupported content type", f"expected Content-Type: {expected}")
    return None


def _replay(body: bytes, receive: Receive) -> Receive:
    """Returns a `receive` that delivers a body that was already read, and then the connection's messages."""
    sent = False

    async def received() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

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
