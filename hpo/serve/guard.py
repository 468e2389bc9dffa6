"""Who may do what, and what every answer says to the browser. It stands before everything, Optuna's dashboard included.

The dashboard has no users of its own, deletes studies when it is asked to, and serves uploaded files under our origin.
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
from hpo.serve.attempts import Attempts
from hpo.serve.limits import LARGEST_HEAD
from hpo.serve.problems import problem
from hpo.serve.settings import Settings

COOKIE = "hpo_session"

LARGEST_BODY = 1_000_000
"""Bytes of a request."""

LOGIN = "/login"
OPEN = (LOGIN, "/healthz", "/hpo/static/board.css")
"""What is answered without a token."""

READING = ("GET", "HEAD")
METHODS = (*READING, "OPTIONS", "POST", "PUT", "PATCH", "DELETE")

POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; script-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
SANDBOX = "sandbox; default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'"

logger = logging.getLogger(__name__)


class Guard:
    """Refuses what is not allowed before anything else sees it.

    Args:
        app: what is guarded.
        settings: of the server.
        attempts: who has sent wrong tokens.
    """

    def __init__(self, app: ASGIApp, settings: Settings, attempts: Attempts) -> None:
        self._app, self._settings, self._attempts = app, settings, attempts
        self._secrets = known_secrets()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path, has_driven = str(scope["path"]), False

        async def send_guarded(message: Message) -> None:
            nonlocal has_driven
            if message["type"] == "http.response.start":
                has_driven = True
                _harden(MutableHeaders(scope=message), path)
            await send(message)

        try:
            await self._answer(scope, path, receive, send_guarded)
        except Exception as error:  # whatever it is, whoever asked gets an answer, and the log no secret
            trace = "".join(traceback.format_exception(error))
            logger.error("%s %s failed: %s", scope["method"], quote(path)[:200], redacted(trace, self._secrets))
            if not has_driven:
                await problem(500, "Failed", "the server's log says why")(scope, receive, send_guarded)

    async def _answer(self, scope: Scope, path: str, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers, path)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        body = await _whole_body(receive)
        if body is None:  # nobody waits for an answer
            return
        refusal = _refused_body(body, headers, path)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        method = "GET" if scope["method"] == "HEAD" else scope["method"]  # the server leaves out the body
        inner = {**scope, "method": method, "headers": list(scope["headers"])}
        MutableHeaders(scope=inner).setdefault("accept-encoding", "identity")  # the dashboard's files fail without one
        await self._app(inner, _once(body, receive), send)

    def _refusal(self, scope: Scope, headers: Headers, path: str) -> Response | None:
        method = scope["method"]
        if _head_of(scope) > LARGEST_HEAD:  # the server itself counts only a head that comes in pieces
            return problem(431, "Too large", f"the head of a request has at most {LARGEST_HEAD} bytes")
        if not self._is_asked_for_by_its_name(headers):
            return problem(400, "Another host", "this server is not asked for by that name; see --allow-host")
        if method not in METHODS:
            return problem(405, "Not allowed", f"expected one of {', '.join(METHODS)}", {"Allow": ", ".join(METHODS)})
        if any(letter < " " or letter == "\x7f" for letter in path) or not path.startswith("/"):
            return problem(400, "Cannot be used", "a path holds no control characters and begins with /")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > 12 or int(length) > LARGEST_BODY:
            return problem(413, "Too large", f"a request has at most {LARGEST_BODY} bytes", {"Connection": "close"})
        if method == "OPTIONS":
            return Response(status_code=204, headers={"Allow": ", ".join(METHODS)})
        if path in OPEN and method in READING:
            return None
        if path == LOGIN and method == "POST":
            return None if _is_own_form(headers) else _foreign()
        refusal, is_bearer = self._unknown(scope, headers, path)
        if refusal is not None or method in READING:
            return refusal
        if self._settings.token is None:
            return problem(
                403, "Read-only", "start the server with a token (--token-file or HPO_TOKEN) to change things"
            )
        if not is_bearer and not _is_same_origin(headers):
            return _foreign()
        if not path.startswith("/hpo/") and not self._settings.writable_dashboard:
            return problem(403, "Read-only", "Optuna's dashboard is read-only here; see --writable-dashboard")
        return None

    def _is_asked_for_by_its_name(self, headers: Headers) -> bool:
        """Whether the host is one of the server's: another one's name may lead here too (DNS rebinding)."""
        hosts = self._settings.hosts
        if "*" in hosts:
            return True
        said = headers.getlist("host")
        name = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(?::[0-9]{0,5})?", said[0]) if len(said) == 1 else None
        return name is not None and name[1].lower().rstrip(".") in {host.lower() for host in hosts}

    def _unknown(self, scope: Scope, headers: Headers, path: str) -> tuple[Response | None, bool]:
        """Returns what is answered to somebody without the token, None with it; and whether the token was sent."""
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
                self._attempts.right(address)
                return None, True
            self._attempts.wrong(address)
        if scope["method"] in ("GET", "HEAD") and "text/html" in headers.get("accept", ""):
            return RedirectResponse(f"{LOGIN}?goal={quote(path)}", status_code=303), False
        detail, scheme = "send the server's token: Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"}
        return problem(401, "Token wanted", detail, scheme), False


def _foreign() -> Response:
    return problem(403, "Another site's request", "what changes something must come from this server's own pages")


def too_many(wait: float) -> Response:
    """Returns the answer to somebody who has sent too many wrong tokens."""
    seconds = math.ceil(wait)
    detail = f"too many wrong tokens were sent; try again in {seconds} s"
    return problem(429, "Too many attempts", detail, {"Retry-After": str(seconds)})


def address_of(scope: Scope) -> str:
    """Returns the address that a request came from. What a proxy says of whom it speaks for is not believed."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def session_of(token: str) -> str:
    """Returns what the cookie holds: it lets in, but the token cannot be had from it."""
    return hmac.new(token.encode(), b"hpo session", hashlib.sha256).hexdigest()


def same(one: str, other: str) -> bool:
    """Whether two secrets are equal; how long it takes to say tells neither where they differ nor how long they are."""
    digests = (hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in (one, other))
    return hmac.compare_digest(*digests)


def _is_same_origin(headers: Headers) -> bool:
    origin = headers.get("origin")
    try:
        return origin is not None and urlsplit(origin).netloc == headers.get("host", "")
    except ValueError:  # no URL
        return False


def _is_own_form(headers: Headers) -> bool:
    return "origin" not in headers or _is_same_origin(headers)


def _head_of(scope: Scope) -> int:
    lines = sum(len(name) + len(value) + 4 for name, value in scope["headers"])
    return lines + len(scope.get("raw_path") or b"") + len(scope["query_string"])


async def _whole_body(receive: Receive) -> bytes | None:
    """Returns a request's body, at most a byte more than it may have; None if the client has gone away.

    It is read before anything is done: what answers runs in threads, of which a slow sender must not hold one. How
    long it may take is the connection's to say.
    """
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if not message.get("more_body", False) or len(body) > LARGEST_BODY:
            return bytes(body[: LARGEST_BODY + 1])


def _refused_body(body: bytes, headers: Headers, path: str) -> Response | None:
    if len(body) > LARGEST_BODY:
        return problem(413, "Too large", f"a request has at most {LARGEST_BODY} bytes", {"Connection": "close"})
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    wanted = "application/x-www-form-urlencoded" if path == LOGIN else "application/json"
    if body and kind != wanted:
        return problem(415, "Another kind of content", f"expected Content-Type: {wanted}")
    return None


def _once(body: bytes, receive: Receive) -> Receive:
    """Hands on a body that was read, and then what the connection says."""
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
