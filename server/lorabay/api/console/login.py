"""Logging in and out of the console: `/console/api/session`.

Whoever sends an admin key or a token once gets a cookie that scripts cannot read, and that only
the console's paths are sent. Knows nothing of pages.
"""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lorabay.api.administrators import caller_of
from lorabay.api.auth import NO_VALID_KEY, identify
from lorabay.api.console.session_gate import COOKIE, session_of
from lorabay.api.console.sessions import LASTS_S
from lorabay.errors import InvalidApiKey, PermissionDenied

if TYPE_CHECKING:
    from starlette.requests import Request

    from lorabay.accounts.callers import Caller
    from lorabay.api.auth import Gate
    from lorabay.api.console.attempts import Attempts
    from lorabay.api.console.session_gate import SessionGate
    from lorabay.api.console.sessions import Sessions

PATH = "/console"
"""Where browsers send the cookie."""


class Login:
    """The ways into a console and out of it; `gate` knows administrators by what they send."""

    def __init__(
        self, sessions: Sessions, gate: Gate, session_gate: SessionGate, attempts: Attempts
    ) -> None:
        self._sessions = sessions
        self._gate = gate
        self._session_gate = session_gate
        self._attempts = attempts

    def routes(self) -> list[Route]:
        """Return the routes, below the console's API."""
        return [
            Route("/session", self._show, methods=["GET"]),
            Route("/session", self._begin, methods=["POST"]),
            Route("/session", self._end, methods=["DELETE"]),
        ]

    async def _show(self, request: Request) -> Response:
        return _told(identify(self._session_gate, request))

    async def _begin(self, request: Request) -> Response:
        address = request.client.host if request.client else ""
        self._attempts.check(address)
        came_with = request.headers.get("authorization", "")
        try:
            if not came_with:
                raise InvalidApiKey(NO_VALID_KEY)
            caller = await caller_of(self._gate, request)
        except InvalidApiKey:
            self._attempts.note_failure(address)
            raise
        if caller.role is None:
            raise PermissionDenied("this is not the key of an administrator")

        # A browser that has a session gets a new one: the former is of no use to anybody.
        self._sessions.end(session_of(request.headers))
        response = _told(caller)
        response.set_cookie(
            COOKIE,
            self._sessions.begin(came_with),
            max_age=int(LASTS_S),
            path=PATH,
            secure=_is_secure(request),
            httponly=True,
            samesite="strict",
        )
        return response

    async def _end(self, request: Request) -> Response:
        self._sessions.end(session_of(request.headers))
        response = Response(status_code=204)
        response.delete_cookie(COOKIE, path=PATH, httponly=True, samesite="strict")
        return response


def _told(caller: Caller) -> JSONResponse:
    """Return who is logged in, for the page."""
    content = {"who": caller.id, "role": str(caller.role), "lorabay": metadata.version("lorabay")}
    return JSONResponse(content, headers={"cache-control": "no-store"})


def _is_secure(request: Request) -> bool:
    """Return whether the browser speaks TLS, if only to a proxy: its origin tells."""
    return request.url.scheme == "https" or request.headers.get("origin", "").startswith("https:")
