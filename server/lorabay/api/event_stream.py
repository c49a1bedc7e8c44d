"""Sends a streamed answer as server-sent events.

The status goes out with the first event, so that a failure before it still gets its own status. A
failure after it becomes an error event and the end of the stream.

A connection holds a megabyte for a client that reads slowly, so most streams end, and give their
version back, as soon as they are made. For the rest `send` waits; the server bounds how long.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lorabay.api.problems import as_error, envelope

if TYPE_CHECKING:
    from starlette.types import Message, Send

    from lorabay.api.exchange import Exchange
    from lorabay.serving.engine import AnswerStream, Call

END: Message = {"type": "http.response.body", "body": b""}


async def send_events(answer: AnswerStream, exchange: Exchange, send: Send) -> None:
    """Send every event as soon as it is there, and note in `exchange` how the stream ended.

    Raises a failure before the first event. Closing the answer is left to the exchange.
    """
    events = aiter(answer)
    # Before the start is sent: a failure up to here still gets a status of its own.
    event = await anext(events, None)
    await send(_start(exchange.headers))

    while event is not None:
        exchange.note_event(event)
        await send(_piece(event))
        try:
            event = await anext(events, None)
        except Exception as failure:  # noqa: BLE001 - handed to the function that maps failures
            exchange.note_end(as_error(failure).status)
            await send(_piece(_error_event(exchange.call, failure)))
            await send(END)
            return

    # Noted before the last message: a client often leaves once it has read the last event.
    exchange.note_end(200)
    await send(END)


def _start(headers: dict[str, str]) -> Message:
    stream = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
    raw = [(name.encode(), value.encode()) for name, value in (headers | stream).items()]
    return {"type": "http.response.start", "status": 200, "headers": raw}


def _piece(event: bytes) -> Message:
    return {"type": "http.response.body", "body": event, "more_body": True}


def _error_event(call: Call, failure: Exception) -> bytes:
    """Return the event that ends a stream in the form that the call's clients expect."""
    problem = envelope(as_error(failure))
    if call.typed_events:
        content = problem["error"] | {"type": "error"}
        return f"event: error\ndata: {json.dumps(content)}\n\n".encode()
    return f"data: {json.dumps(problem)}\n\ndata: [DONE]\n\n".encode()
