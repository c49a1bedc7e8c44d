"""An ASGI response that streams server-sent events and notices a client that goes away.

Sends the status with the first event, so that a failure before it still gets its own status. A
failure after it becomes an error event and the end of the stream. Whatever happens, the answer is
closed and `finish` runs once.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING

from starlette.requests import Request

from lorabay.api.disconnects import CLIENT_CLOSED_REQUEST, until_disconnect
from lorabay.api.problems import as_error, envelope, respond

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from lorabay.api.request_metrics import Recording
    from lorabay.serving.engine import AnswerStream, Endpoint


class EventStream:
    """One streamed answer on its way to the client.

    `generated` is called once, when the first generated token goes out; `finish(code)` is told how
    the stream ended.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        answer: AnswerStream,
        headers: Mapping[str, str],
        recording: Recording,
        generated: Callable[[], None],
        finish: Callable[[int], None],
    ) -> None:
        self._endpoint = endpoint
        self._answer = answer
        self._headers = headers
        self._recording = recording
        self._generated: Callable[[], None] | None = generated
        self._finish = finish
        self._code = CLIENT_CLOSED_REQUEST

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the whole stream, or as much as the client stays for."""
        sending = asyncio.create_task(self._send(scope, receive, send))
        gone = asyncio.create_task(until_disconnect(receive))
        try:
            await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            sending.cancel()
            await asyncio.gather(sending, gone, return_exceptions=True)
            try:
                await self._answer.aclose()
            finally:
                self._finish(self._code)
        if not sending.cancelled():
            sending.result()

    async def _send(self, scope: Scope, receive: Receive, send: Send) -> None:
        events = aiter(self._answer)
        try:
            first = await anext(events, b"")
        except Exception as failure:  # noqa: BLE001 - handed to the function that maps failures
            self._code = as_error(failure).status
            await (await respond(Request(scope), failure))(scope, receive, send)
            return
        raw_headers = [(name.encode(), value.encode()) for name, value in self._headers.items()]
        raw_headers.append((b"content-type", b"text/event-stream; charset=utf-8"))
        raw_headers.append((b"cache-control", b"no-cache"))
        await send({"type": "http.response.start", "status": 200, "headers": raw_headers})
        async for event in self._guarded(first, events):
            await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _guarded(self, first: bytes, events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        self._passes(first)
        yield first
        try:
            async for event in events:
                self._passes(event)
                yield event
            self._code = 200
        except Exception as failure:  # noqa: BLE001 - handed to the function that maps failures
            self._code = as_error(failure).status
            yield self._error_event(failure)

    def _passes(self, event: bytes) -> None:
        self._recording.event()
        if self._generated is not None and _is_generated(self._endpoint, event):
            self._generated()
            self._generated = None

    def _error_event(self, failure: Exception) -> bytes:
        problem = envelope(as_error(failure))
        if self._endpoint == "responses":
            return f"event: error\ndata: {json.dumps(problem['error'] | {'type': 'error'})}\n\n".encode()
        return f"data: {json.dumps(problem)}\n\ndata: [DONE]\n\n".encode()


def _is_generated(endpoint: Endpoint, event: bytes) -> bool:
    """Tell whether the engine has computed something for an event; a response is announced before
    that.
    """
    return endpoint != "responses" or event.partition(b"\n")[0].endswith(b".delta")
