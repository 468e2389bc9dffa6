"""Limits on the duration and the number of connections. Uvicorn limits neither slow senders nor slow readers."""

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
"""Maximum seconds for a whole request from its first byte, and for the first byte of a connection."""

STALLED_SECONDS = 30.0
"""Maximum seconds in which a client reads less than 48 kB of a response."""

POLL_SECONDS = 0.5
"""Seconds between two checks for connections that take too long."""

MAX_CONNECTIONS = 200
"""Maximum number of connections. One more ends the connection that has been idle longest, or is rejected."""

MAX_HEAD_BYTES = 16_384
"""Maximum bytes of a request's first line and headers."""

MAX_RUNNING, MAX_WAITING = 8, 32
"""Maximum number of requests to Optuna's dashboard that are processed at a time, one per thread, and that wait."""


class LimitedProtocol(H11Protocol):
    """A connection that knows since when it waits for a request, or for the client to read the response."""

    waiting_since: float | None = None
    stalled_since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self.waiting_since = self.loop.time()
        if len(self.connections) > MAX_CONNECTIONS:
            others = (connection for connection in _limited(self.connections) if connection is not self)
            idle = [connection for connection in others if connection.waiting_since is not None]
            oldest = min(idle, key=lambda connection: connection.waiting_since or 0.0, default=self)
            oldest.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self.waiting_since is None and self.conn.their_state is h11.IDLE:
            self.waiting_since = self.loop.time()
        super().data_received(data)
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self.waiting_since = None  # the request is complete

    def on_response_complete(self) -> None:
        # The next request has its own time limit, and uvicorn ends idle connections, but not those with an unread body.
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
            self.cycle.disconnected = True  # discards a response that is being sent
        try:
            super().send_400_response(msg)
        except h11.LocalProtocolError:  # invalid data after a response has started
            self.transport.close()

    def abort_if_late(self) -> None:
        """Aborts the connection if it takes too long."""
        now = self.loop.time()
        limits = ((self.stalled_since, STALLED_SECONDS), (self.waiting_since, REQUEST_SECONDS))
        if any(since is not None and now - since > seconds for since, seconds in limits):
            self.transport.abort()


def _limited(connections: Iterable[Any]) -> list[LimitedProtocol]:
    return [connection for connection in connections if isinstance(connection, LimitedProtocol)]


@asynccontextmanager
async def closing_slow_connections(connections: Iterable[Any]) -> AsyncIterator[None]:
    """Aborts connections that take too long, until the block ends.

    Args:
        connections: the server's own set of connections, which changes.
    """

    async def check() -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            for connection in _limited(list(connections)):
                connection.abort_if_late()

    task = asyncio.create_task(check())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class RequestLimit:
    """Limits the number of requests that an application processes or queues; others get status 503.

    Args:
        app: application with a limited number of threads.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app, self._active = app, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._active >= MAX_RUNNING + MAX_WAITING:
            detail = "Optuna's dashboard is busy with other requests"
            await problem(503, "Busy", detail, {"Retry-After": "2"})(scope, receive, send)
            return
        self._active += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._active -= 1
