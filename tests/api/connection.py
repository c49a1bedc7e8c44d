"""One HTTP request to an ASGI application, driven message by message.

For bodies in pieces and for clients that leave.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message

PATIENCE_S = 60.0


class Connection:
    """A request in flight.

    `code` and `body` are what came back so far; `received` counts the messages that the
    application has taken.
    """

    def __init__(
        self, app: ASGIApp, path: str, headers: Mapping[str, str], *, method: str = "POST"
    ) -> None:
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._from_app: asyncio.Queue[Message] = asyncio.Queue()
        self.code: int | None = None
        self.body = b""
        self.received = 0
        named = {"host": "server", **headers}
        raw = [(name.lower().encode(), value.encode()) for name, value in named.items()]
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": raw,
            "server": ("server", 80),
            "client": ("client", 1),
        }
        self.task = asyncio.create_task(self._run(app, scope))

    async def _run(self, app: ASGIApp, scope: dict[str, Any]) -> None:
        await app(scope, self._receive, self._from_app.put)

    async def _receive(self) -> Message:
        message = await self._to_app.get()
        self.received += 1
        if message["type"] == "http.disconnect":
            self.leave()  # Servers say it as often as they are asked.
        return message

    def send(self, piece: bytes, *, more: bool = False) -> None:
        """Send a piece of the body."""
        self._to_app.put_nowait({"type": "http.request", "body": piece, "more_body": more})

    def leave(self) -> None:
        """Close the connection."""
        self._to_app.put_nowait({"type": "http.disconnect"})

    async def message(self) -> Message:
        """Take the application's next message."""
        message = await asyncio.wait_for(self._from_app.get(), PATIENCE_S)
        self.code = message.get("status", self.code)
        self.body += message.get("body", b"")
        return message

    async def ended(self) -> None:
        """Wait until the application is done with the request, and take all that it sent."""
        await asyncio.wait_for(self.task, PATIENCE_S)
        while not self._from_app.empty():
            await self.message()
