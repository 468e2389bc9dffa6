"""The ASGI application: hpo's pages and HTTP API, and Optuna's dashboard for all other paths."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from typing import Any

from a2wsgi import WSGIMiddleware
from anyio import to_thread
from fastapi import FastAPI

from hpo.core.errors import UsageError
from hpo.core.run_config import RunConfig
from hpo.serve.api_routes import api_routes
from hpo.serve.auth import AuthMiddleware
from hpo.serve.control_routes import Cluster, control_routes
from hpo.serve.dashboard import dashboard
from hpo.serve.dashboard_notes import noting_promotions
from hpo.serve.limits import MAX_HEAD_BYTES, MAX_RUNNING, LimitedProtocol, RequestLimit, closing_slow_connections
from hpo.serve.page_routes import page_routes
from hpo.serve.problems import add_problem_handlers
from hpo.serve.settings import Settings
from hpo.serve.token_attempts import TokenAttempts
from hpo.serve.views import StudyViews, study_views

PAGES_THREADS = 6
"""Threads for pages and the API. With the dashboard's they are fewer than the database's connections, 15."""


def application(views: StudyViews, settings: Settings, config: RunConfig, cluster: Cluster | None = None) -> FastAPI:
    """Returns the application.

    Args:
        views: views of the studies that are served.
        settings: settings of the server.
        config: storage of the studies.
        cluster: cluster to submit studies to; None: the one on this machine.
    """
    app = FastAPI(
        title="hpo",
        description="Studies, their promotions, and how sure those are.",
        docs_url=None,  # FastAPI's own page would load scripts from other servers
        redoc_url=None,
        openapi_url="/hpo/openapi.json",
    )
    add_problem_handlers(app)
    app.include_router(api_routes(views))
    app.include_router(control_routes(views, config, cluster or Cluster()))
    attempts = TokenAttempts()
    app.include_router(page_routes(app, views, settings, attempts))
    # The dashboard has its own threads, and responses are queued completely, so that slow readers do not hold a thread.
    optuna: Any = WSGIMiddleware(dashboard(views), workers=MAX_RUNNING, send_queue_size=0)  # a2wsgi has its own types
    app.mount("/", RequestLimit(optuna))  # last, because it matches every path
    app.add_middleware(AuthMiddleware, settings=settings, attempts=attempts)
    return app


def serve(
    config: RunConfig, settings: Settings, on_start: Callable[[str], None], cluster: Cluster | None = None
) -> None:
    """Serves the studies of a storage until a signal stops it.

    Args:
        config: storage of the studies.
        settings: settings of the server.
        on_start: called with the server's address once it listens.
        cluster: cluster to submit studies to; None: the one on this machine.

    Raises:
        StorageUnavailable: if there is no storage.
        UsageError: if the server cannot listen at the address.
    """
    import uvicorn

    with ExitStack() as stack:
        views = stack.enter_context(study_views(config, writes=True))
        listener = stack.enter_context(_listen(settings))
        address = f"http://{settings.host}:{listener.getsockname()[1]}"

        @asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncIterator[None]:
            to_thread.current_default_thread_limiter().total_tokens = PAGES_THREADS
            async with closing_slow_connections(server.server_state.connections):
                on_start(address)
                yield

        stack.enter_context(noting_promotions(views))
        app = application(views, settings, config, cluster)
        app.router.lifespan_context = lifespan
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                http=LimitedProtocol,
                ws="none",
                h11_max_incomplete_event_size=MAX_HEAD_BYTES,
                log_level="warning",
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=5,  # seconds; clients that do not read must not keep the server running
            )
        )
        server.run(sockets=[listener])


def _listen(settings: Settings) -> socket.socket:
    host = settings.host.strip("[]")
    try:
        family, *_, address = socket.getaddrinfo(host, settings.port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address, family=family)
    except OSError as error:
        raise UsageError(
            f"cannot listen at {settings.host}:{settings.port}: {error.strerror or error}; choose another --port, or 0 "
            "for a free one"
        ) from error
