"""ASGI middleware that answers a request which the end of the server cuts off."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.requests import Request

from lorabay.api.problems import respond
from lorabay.errors import EngineUnavailable

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class CutOff:
    """Sends a 503 where an answer has not begun, so that the client asks another server.

    One that has begun stays without its end, which is what tells a client that it was cut off.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        has_begun = False

        async def send_and_note(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except asyncio.CancelledError:
            # Not raised again: the task ends with its request, and uvicorn would log it as a bug.
            if not has_begun:
                error = EngineUnavailable("the server ends: ask again", retry_after=1)
                await (await respond(Request(scope), error))(scope, receive, send)
