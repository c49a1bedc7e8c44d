"""Sends a streamed answer as server-sent events.

The status goes out with the first event, so that a failure before it still gets its own status. A
failure after it becomes an error event and the end of the stream. While no event comes, comments
keep the proxies in between from ending the connection; the first of them takes the status along,
because a silence that long is mostly that of a queue.

A connection holds a megabyte for a client that reads slowly, so most streams end, and give their
version back, as soon as they are made. For the rest `send` waits; the server bounds how long.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from lorabay.api.problems import as_error, envelope
from lorabay.serving.engine import Dialect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from starlette.types import Message, Send

    from lorabay.api.exchange import Exchange
    from lorabay.serving.engine import AnswerStream, Call

STREAM_HEADERS: Mapping[str, str] = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    # nginx, and what is built on it, would else keep events until a buffer is full.
    "x-accel-buffering": "no",
}

COMMENT = b": the answer goes on\n\n"
"""A line that every reader of server-sent events passes over."""


async def send_events(
    answer: AnswerStream, exchange: Exchange, send: Send, *, comment_s: float = 0.0
) -> None:
    """Send every event as soon as it is there, and note in `exchange` how the stream ended.

    After `comment_s` seconds without an event a comment is sent; 0 sends none. Raises a failure
    before anything was sent. Closing the answer is left to the exchange.
    """
    response = _Response(send, exchange.headers)
    if not comment_s:
        await _send_all(aiter(answer), exchange, response)
        return

    comments = asyncio.create_task(response.comment_pauses(comment_s))
    try:
        await _send_all(aiter(answer), exchange, response)
    finally:
        comments.cancel()
        await asyncio.gather(comments, return_exceptions=True)


async def _send_all(events: AsyncIterator[bytes], exchange: Exchange, response: _Response) -> None:
    while True:
        try:
            event = await anext(events, None)
        except Exception as failure:
            # An ordinary error response is still possible.
            if not response.has_begun:
                raise
            exchange.note_end(as_error(failure).status)
            await response.send(_error_event(exchange.call, failure))
            break

        if event is None:
            # Noted before the last message: a client often leaves once it has read the last event.
            exchange.note_end(200)
            break
        exchange.note_event(event)
        await response.send(event)

    await response.end()


class _Response:
    """One streamed response: its status, its pieces in their order, and its end."""

    def __init__(self, send: Send, headers: Mapping[str, str]) -> None:
        self._send = send
        self._headers = headers
        self._turn = asyncio.Lock()
        self._clock = asyncio.get_running_loop().time
        self._sent_at = self._clock()
        self.has_begun = False

    async def send(self, piece: bytes) -> None:
        """Send a piece; the status goes in front of the first one."""
        async with self._turn:
            await self._begin()
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})
            self._sent_at = self._clock()

    async def end(self) -> None:
        """Send the end, and the status of a response that had no piece."""
        async with self._turn:
            await self._begin()
            await self._send({"type": "http.response.body", "body": b""})

    async def _begin(self) -> None:
        if self.has_begun:
            return

        self.has_begun = True
        headers = {**self._headers, **STREAM_HEADERS}
        start: Message = {
            "type": "http.response.start",
            "status": 200,
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        await self._send(start)

    async def comment_pauses(self, pause_s: float) -> None:
        """Send a comment after each `pause_s` seconds without a piece, until cancelled."""
        while True:
            left_s = self._sent_at + pause_s - self._clock()
            if left_s > 0:
                await asyncio.sleep(left_s)
            else:
                await self.send(COMMENT)


def _error_event(call: Call, failure: Exception) -> bytes:
    """Return the event that ends a stream in the form that the call's clients expect."""
    problem = envelope(as_error(failure), call.dialect)
    if call.dialect is Dialect.ANTHROPIC:
        return f"event: error\ndata: {json.dumps(problem)}\n\n".encode()
    if call.typed_events:
        content = problem["error"] | {"type": "error"}
        return f"event: error\ndata: {json.dumps(content)}\n\n".encode()
    return f"data: {json.dumps(problem)}\n\ndata: [DONE]\n\n".encode()
