"""HTTP on one connection: uvicorn's protocol, with a bound on everything that a client may hold.

uvicorn leaves it to a proxy to end connections that send no request, or never the whole of one, and
those that take no answer. Here each ends by itself, so a server may face its clients directly. What
is not HTTP gets a 4xx in OpenAI's envelope and the end of its connection.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import httptools
import structlog
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from lorabay.api.problems import envelope
from lorabay.errors import EngineUnavailable, InvalidRequest, LorabayError
from lorabay.server.send_watch import SendWatch

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

    from lorabay.server.connection_table import ConnectionTable

logger = structlog.get_logger(__name__)

MAX_HEAD_BYTES = 65_536
"""Largest head of a request: its line and its headers. llhttp itself has no bound."""

FRAMING_BYTES = 16
"""Bytes of chunk sizes that may come with each byte of a body, so that a body of one byte a chunk
is taken, and trailers without end are not.
"""

WRITE_BUFFER_BYTES = 1_048_576
"""What a connection holds for a client that is slower than the engine: a stream of 4,000 tokens.

A stream that fits does not wait for its client, and gives its adapter back as soon as it is made.
"""

UPGRADE_HEADERS = frozenset({b"upgrade", b"connection", b"http2-settings"})
"""Headers by which a client asks for another protocol."""


class _Pipelined(Exception):
    """A client has sent a request before it had the answer to the one before."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a client may take, in seconds."""

    receive_s: float
    """To send a whole request."""

    send_s: float
    """To take an answer, beyond the time in which it is made."""


class Ended(StrEnum):
    """Why the server itself ended a connection."""

    SILENT = "silent"
    """No request came in time, or no handshake."""

    SLOW_TO_SEND = "slow_to_send"
    """A request did not come as a whole in time."""

    SLOW_TO_READ = "slow_to_read"
    """An answer was not read in time."""

    NO_HTTP = "no_http"
    """What came is no request, or no handshake, or has too large a head."""

    CROWDED_OUT = "crowded_out"
    """It waited for a request, and another connection needed its place."""

    REFUSED = "refused"
    """It came when every other one was busy."""


class HttpProtocol(HttpToolsProtocol):
    """One connection of a client, with at most one request at a time.

    `draining` returns whether the server is about to end: answers then also end the connection.
    `ended` is called with the reason when the server does not wait for the client any more,
    `stands` once the connection stands, before it takes a place in the table.
    """

    def __init__(
        self,
        *,
        table: ConnectionTable,
        timeouts: Timeouts,
        draining: Callable[[], bool],
        ended: Callable[[Ended], None],
        stands: Callable[[], None] = lambda: None,
        **uvicorns: Any,
    ) -> None:
        super().__init__(**uvicorns)
        self._table = table
        self._timeouts = timeouts
        self._draining = draining
        self._ended = ended
        self._stands = stands
        self._sending: SendWatch
        self._receive_timer: asyncio.TimerHandle | None = None
        self._received_bytes = 0
        self._body_bytes = 0
        self._in_body = False
        self._reads_no_more = False

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take in a connection, or refuse it if all the others are busy."""
        self._stands()
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self._sending = SendWatch(transport, self._timeouts.send_s, self._end_slow_reader)
        self._await_request()
        if not self._table.admit(self):
            busy = EngineUnavailable("the server is busy on every connection", retry_after=1)
            self._refuse(busy, Ended.REFUSED)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the request that its client is gone."""
        self._table.remove(self)
        self._sending.stop()
        self._stop_receive_timer()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def give_way(self) -> None:
        """End a connection that waits for a request, because another one needs its place."""
        self._ended(Ended.CROWDED_OUT)
        self.transport.abort()

    def pause_writing(self) -> None:
        """Note that the client is slower than its answer."""
        super().pause_writing()
        self._sending.pause()

    def resume_writing(self) -> None:
        """Note that the client has caught up."""
        super().resume_writing()
        self._sending.resume()

    def _end_slow_reader(self) -> None:
        logger.info("a client took no more of its answer: its connection is closed")
        self._ended(Ended.SLOW_TO_READ)
        self.transport.abort()

    # What the client sends

    def data_received(self, data: bytes) -> None:
        """Parse what has come."""
        if self._reads_no_more:
            return

        # The first bytes after an answer begin another request, whatever they turn out to be.
        self._unset_keepalive_if_required()
        if self._receive_timer is None and not self._is_answering:
            self._await_request()

        self._received_bytes += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._end_broken_request()
            return

        framing = self._received_bytes - self._body_bytes
        if framing > MAX_HEAD_BYTES + FRAMING_BYTES * self._body_bytes:
            too_large = InvalidRequest("the head of the request is too large", status=431)
            self._refuse(too_large, Ended.NO_HTTP)

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            # Java's client asks for HTTP/2 with every first request; a server may go on as it is.
            head = self._head_without_upgrade()
            self.parser = httptools.HttpRequestParser(self)
            self.parser.feed_data(head + data[upgrade.args[0] :])

    def _head_without_upgrade(self) -> bytes:
        """Return the head of the present request as if the client had asked for nothing else."""
        method = self.scope["method"].encode()
        headers = [header for header in self.headers if header[0] not in UPGRADE_HEADERS]
        fields = b"".join(b"%s: %s\r\n" % header for header in headers)
        return b"%s %s HTTP/1.1\r\n%s\r\n" % (method, self.url, fields)

    def _end_broken_request(self) -> None:
        """End what the parser cannot go on with."""
        if self._is_answering and not self._in_body:
            # Only one request is read at a time. The others go unanswered, as HTTP allows, and the
            # client is read on: the end of its connection ends its generation.
            self._reads_no_more = True
            self.cycle.keep_alive = False
        else:
            self._refuse(InvalidRequest("this is not a request in HTTP/1.1"), Ended.NO_HTTP)

    def on_message_begin(self) -> None:
        """Begin a request, unless another one is being answered."""
        if self._is_answering:
            raise _Pipelined
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; one that follows the body belongs to no head."""
        if not self._in_body:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Have the request answered."""
        if self.parser.should_upgrade():
            self._note_upgrade()
            return

        super().on_headers_complete()
        if self.scope["http_version"] == "1.0":
            _end_with_connection(self.cycle)
        self._in_body = True
        self._table.is_busy(self)
        self._sending.begin(paused=self.flow.write_paused)
        if self._draining():
            self.cycle.keep_alive = False

    def _note_upgrade(self) -> None:
        """Leave a request for another protocol to `_feed`, which reads it again."""
        method = self.parser.get_method()
        if method == b"CONNECT":
            raise ValueError("the server is no proxy")
        self.scope["method"] = method.decode("ascii")

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that the request is there as a whole."""
        if self.parser.should_upgrade():
            return

        self._in_body = False
        self._received_bytes = self._body_bytes = 0
        self._stop_receive_timer()
        super().on_message_complete()
        if not self._is_answering:
            # The answer was earlier than the end of the body, which has ended uvicorn's own timer.
            self._await_next_request()

    # How the answer goes

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def on_response_complete(self) -> None:
        """Wait for the client to take the rest, and to ask again."""
        super().on_response_complete()
        self._table.is_waiting(self)
        self._sending.end()

    def _await_request(self) -> None:
        """Give the client its time to send a request."""
        self._receive_timer = self.loop.call_later(self._timeouts.receive_s, self._end_slow_sender)

    def _await_next_request(self) -> None:
        """Give the client the time that an idle connection has."""
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def _stop_receive_timer(self) -> None:
        if self._receive_timer is not None:
            self._receive_timer.cancel()
            self._receive_timer = None

    def _end_slow_sender(self) -> None:
        self._receive_timer = None
        if self._received_bytes:
            late = InvalidRequest("the request did not come in time", status=408)
            self._refuse(late, Ended.SLOW_TO_SEND)
        else:
            self._ended(Ended.SILENT)
            self.transport.close()

    def _refuse(self, error: LorabayError, why: Ended) -> None:
        """Answer what is no request, if there is still room for an answer, and end the connection.

        The request that it was a part of is told that its client is gone.
        """
        self._ended(why)
        self._reads_no_more = True
        cycle = self.cycle if self._is_answering else None
        begun = (self._in_body and cycle is None) or (cycle is not None and cycle.response_started)
        if not begun:
            self.transport.write(last_response(error))

        if cycle is not None:
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()
        self._sending.end()


def _end_with_connection(cycle: RequestResponseCycle) -> None:
    """Have a response end with its connection, and not come in chunks: HTTP/1.0 has none.

    uvicorn sends chunks wherever a response does not tell its length.
    """
    send = cycle.send
    cycle.chunked_encoding = False

    async def send_plain(message: ASGISendEvent) -> None:
        if message["type"] == "http.response.body":
            cycle.expected_content_length = len(message.get("body", b""))
        await send(message)

    cycle.send = send_plain  # type: ignore[method-assign]


def last_response(error: LorabayError) -> bytes:
    """Return a whole response that tells an error and ends its connection."""
    body = json.dumps(envelope(error)).encode()
    headers = [
        b"content-type: application/json",
        b"content-length: %d" % len(body),
        b"connection: close",
    ]
    if error.retry_after is not None:
        headers.append(b"retry-after: %d" % math.ceil(error.retry_after))
    return STATUS_LINE[error.status] + b"\r\n".join([*headers, b"", body])
