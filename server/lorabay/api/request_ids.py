"""ASGI middleware that gives every request an id and echoes it on the response.

A client's own id is kept if it is safe to log. Anthropic's clients read the id from a header of
another name, so they get it there, too.
"""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders

from lorabay.api.request.anthropic_clients import REQUEST_ID_HEADER, is_anthropic

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "x-request-id"

_SAFE_TO_LOG = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class RequestIds:
    """Puts `request_id` into the request's state and `x-request-id` on its response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        headers = Headers(scope=scope)
        sent = headers.get(HEADER, "")
        names = (HEADER, REQUEST_ID_HEADER) if is_anthropic(headers) else (HEADER,)
        request_id = sent if _SAFE_TO_LOG.fullmatch(sent) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                for name in names:
                    MutableHeaders(scope=message)[name] = request_id
            await send(message)

        await self._app(scope, receive, send_with_id)
