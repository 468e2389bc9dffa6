"""How long a connection may take and how many there may be. Uvicorn limits neither a slow sender nor a slow reader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any

import h11
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from hpo.serve.problems import problem

REQUEST_SECONDS = 20.0
"""For a whole request, head and body, from its first byte; and for the first byte of a connection."""

STALLED_SECONDS = 30.0
"""Without the reader of an answer taking 48 kB of it."""

POLL_SECONDS = 0.5
"""Between two looks for connections that take too long."""

MOST_CONNECTIONS = 200
"""At a time. One more ends the one that has been waiting longest for a request, or is refused."""

LARGEST_HEAD = 16_384
"""Bytes of a request's first line and headers."""

RUNNING, WAITING = 8, 32
"""Requests to Optuna's dashboard that are answered at a time, each in a thread, and that may wait for it."""


class LimitedProtocol(H11Protocol):
    """One connection that knows since when it waits for a request, or for the reader of an answer."""

    waiting_since: float | None = None
    stalled_since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self.waiting_since = self.loop.time()
        if len(self.connections) > MOST_CONNECTIONS:
            idle = [one for one in _limited(self.connections) if one is not self and one.waiting_since is not None]
            oldest = min(idle, key=lambda one: one.waiting_since or 0.0, default=self)
            oldest.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self.waiting_since is None and self.conn.their_state is h11.IDLE:
            self.waiting_since = self.loop.time()
        super().data_received(data)
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self.waiting_since = None  # the request is complete

    def on_response_complete(self) -> None:
        # The next request has its own time, and uvicorn ends what stays silent; not so a body that nobody reads.
        self.waiting_since = self.loop.time() if self.conn.their_state is h11.SEND_BODY else None
        super().on_response_complete()

    def pause_writing(self) -> None:
        self.stalled_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self.stalled_since = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        if self.cycle is not None:
            self.cycle.disconnected = True  # an answer that is under way goes nowhere
        try:
            super().send_400_response(msg)
        except h11.LocalProtocolError:  # nonsense after an answer has begun
            self.transport.close()

    def end_if_late(self) -> None:
        """Ends the connection if it has taken too long."""
        now = self.loop.time()
        limits = ((self.stalled_since, STALLED_SECONDS), (self.waiting_since, REQUEST_SECONDS))
        if any(since is not None and now - since > seconds for since, seconds in limits):
            self.transport.abort()


def _limited(connections: Iterable[Any]) -> list[LimitedProtocol]:
    return [one for one in connections if isinstance(one, LimitedProtocol)]


@asynccontextmanager
async def ending_late(connections: Iterable[Any]) -> AsyncIterator[None]:
    """Ends connections that take too long.

    Args:
        connections: the server's own set of them, which changes.
    """

    async def look() -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            for one in _limited(list(connections)):
                one.end_if_late()

    task = asyncio.create_task(look())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class Bounded:
    """Lets only so many requests through to an application at a time, and so many wait; others are told to come back.

    Args:
        app: with threads of its own, which it must not lend to anybody for long.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app, self._inside = app, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._inside >= RUNNING + WAITING:
            detail = "Optuna's dashboard is busy with other requests"
            await problem(503, "Busy", detail, {"Retry-After": "2"})(scope, receive, send)
            return
        self._inside += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._inside -= 1
