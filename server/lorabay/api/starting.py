"""Answers for a server that has not found its base yet: alive, but not ready for anything else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Route

from lorabay.api.problems import respond
from lorabay.api.request_ids import RequestIds
from lorabay.errors import EngineUnavailable

if TYPE_CHECKING:
    from starlette.middleware import Middleware
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

RETRY_AFTER_S = 5


class StartingApp:
    """An ASGI application that stands in for the server's own until that can be built.

    Requests pass `middleware` first.
    """

    def __init__(self, middleware: Sequence[Middleware] = ()) -> None:
        self._app: ASGIApp = _starting_app(middleware)

    def hand_over(self, app: ASGIApp) -> None:
        """Pass every request from now on to `app`; those under way end where they began."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def _starting_app(middleware: Sequence[Middleware]) -> ASGIApp:
    # Every path but `/health` is unknown here, so every other request ends in `_refuse`.
    app = Starlette(
        routes=[Route("/health", _health)],
        exception_handlers={HTTPException: _refuse},
        middleware=middleware,
    )
    app.add_middleware(RequestIds)
    return app


async def _health(request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _refuse(request: Request, failure: Exception) -> Response:
    error = EngineUnavailable("the server is still starting", retry_after=RETRY_AFTER_S)
    return await respond(request, error)
