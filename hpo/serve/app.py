"""One ASGI application: our pages and interface first, Optuna's dashboard behind them."""

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
from hpo.serve.attempts import Attempts
from hpo.serve.dashboard import dashboard
from hpo.serve.guard import Guard
from hpo.serve.interface import interface
from hpo.serve.limits import LARGEST_HEAD, RUNNING, Bounded, LimitedProtocol, ending_late
from hpo.serve.problems import tell_problems
from hpo.serve.projection import projecting
from hpo.serve.settings import Settings
from hpo.serve.sites import sites
from hpo.serve.steering import Cluster, steering
from hpo.serve.views import StudyViews, study_views

PAGES_THREADS = 6
"""That answer for pages and interface. With the dashboard's they are fewer than the database takes connections, 15."""


def application(found: StudyViews, settings: Settings, config: RunConfig, cluster: Cluster | None = None) -> FastAPI:
    """Returns the application.

    Args:
        found: the studies that are served.
        settings: of the server.
        config: where they are kept.
        cluster: where those go that are submitted; None: to this machine's.
    """
    app = FastAPI(
        title="hpo",
        description="Studies, their promotions, and how sure those are.",
        docs_url=None,  # FastAPI's own would load scripts from elsewhere
        redoc_url=None,
        openapi_url="/hpo/openapi.json",
    )
    tell_problems(app)
    app.include_router(interface(found))
    app.include_router(steering(found, config, cluster or Cluster()))
    attempts = Attempts()
    app.include_router(sites(app, found, settings, attempts))
    # Its threads are its own, and an answer is queued whole: a slow reader must not hold one.
    behind: Any = WSGIMiddleware(dashboard(found), workers=RUNNING, send_queue_size=0)  # typed by other names
    app.mount("/", Bounded(behind))  # last: it takes every path
    app.add_middleware(Guard, settings=settings, attempts=attempts)
    return app


def serve(config: RunConfig, settings: Settings, began: Callable[[str], None], cluster: Cluster | None = None) -> None:
    """Serves the studies of a storage until it is stopped by a signal.

    Args:
        config: where they are.
        settings: of the server.
        began: called with its address once it listens.
        cluster: where studies go that are submitted; None: to this machine's.

    Raises:
        StorageUnavailable: if there is no storage.
        UsageError: if the address cannot be listened at.
    """
    import uvicorn

    with ExitStack() as stack:
        found = stack.enter_context(study_views(config, writes=True))
        listening = stack.enter_context(_listening(settings))
        address = f"http://{settings.host}:{listening.getsockname()[1]}"

        @asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncIterator[None]:
            to_thread.current_default_thread_limiter().total_tokens = PAGES_THREADS
            async with ending_late(server.server_state.connections):
                began(address)
                yield

        stack.enter_context(projecting(found))
        app = application(found, settings, config, cluster)
        app.router.lifespan_context = lifespan
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                http=LimitedProtocol,
                ws="none",
                h11_max_incomplete_event_size=LARGEST_HEAD,
                log_level="warning",
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=5,  # a reader that takes nothing must not keep the server from ending
            )
        )
        server.run(sockets=[listening])


def _listening(settings: Settings) -> socket.socket:
    host = settings.host.strip("[]")
    try:
        family, *_, address = socket.getaddrinfo(host, settings.port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address, family=family)
    except OSError as error:
        raise UsageError(
            f"cannot listen at {settings.host}:{settings.port}: {error.strerror or error}; choose another --port, or 0 "
            "for a free one"
        ) from error
