"""What one connection may cost, and what becomes of bytes that are no request. In virtual time."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from hypothesis import given, settings, strategies as st
from uvicorn.server import ServerState

from lorabay.server.connection_table import ConnectionTable
from lorabay.server.http_protocol import (
    MAX_HEAD_BYTES,
    WRITE_BUFFER_BYTES,
    Ended,
    HttpProtocol,
    Timeouts,
)
from tests.examples import BESIDE_FIXTURES, examples
from tests.server.fake_transport import FakeTransport
from tests.virtual_time import quiet

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

KEEP_ALIVE_S = 5
TIMEOUTS = Timeouts(receive_s=20.0, send_s=10.0)
GET = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
PIECE = 100_000


def post(path: str, body: bytes = b"", *headers: bytes) -> bytes:
    lines = [b"POST %s HTTP/1.1" % path.encode(), b"Host: here", *headers]
    lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join([*lines, b"", body])


class App:
    """Answers by path, and notes what it was asked and whose client went away."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.headers: list[tuple[bytes, bytes]] = []
        self.gone: list[str] = []
        self.ended: list[str] = []
        self.reasons: list[Ended] = []
        self.go_on = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        self.asked.append(path)
        self.headers = scope["headers"]
        if path == "/early":
            await self._answer(send, b"too large", status=413)
            return

        body = await self._read(receive, path)
        if body is None:
            return
        if path == "/wait":
            await self._wait(receive, path)
        elif path == "/stream":
            await self._stream(send)
        elif path == "/large":
            await self._answer(send, bytes(5_000_000))
        else:
            await self._answer(send, body or b"hello")
        self.ended.append(path)

    async def _read(self, receive: Receive, path: str) -> bytes | None:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.gone.append(path)
                return None
            body += message["body"]
            more = message.get("more_body", False)
        return body

    async def _wait(self, receive: Receive, path: str) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.gone.append(path)

    async def _stream(self, send: Send) -> None:
        """Send 30 pieces, which is more than a connection holds."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(30):
            await send(self._piece(bytes(PIECE), more=True))
        await send(self._piece(b"", more=False))

    async def _answer(self, send: Send, body: bytes, *, status: int = 200) -> None:
        length = (b"content-length", str(len(body)).encode())
        await send({"type": "http.response.start", "status": status, "headers": [length]})
        await send(self._piece(body, more=False))

    @staticmethod
    def _piece(body: bytes, *, more: bool) -> Message:
        return {"type": "http.response.body", "body": body, "more_body": more}


@pytest.fixture
async def app() -> App:
    return App()


@pytest.fixture(autouse=True)
def nothing_fails(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No client, whatever it sends, makes the server log an error."""
    yield
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def connect(
    app: App,
    *,
    table: ConnectionTable | None = None,
    reads: bool = True,
    draining: bool = False,
) -> FakeTransport:
    """Open a connection to a server of `app`, which notes why it ends a connection."""
    config = uvicorn.Config(
        app, ws="none", lifespan="off", log_config=None, timeout_keep_alive=KEEP_ALIVE_S
    )
    config.load()
    uvicorns: dict[str, Any] = {"config": config, "server_state": ServerState(), "app_state": {}}
    protocol = HttpProtocol(
        table=ConnectionTable(10) if table is None else table,
        timeouts=TIMEOUTS,
        draining=lambda: draining,
        ended=app.reasons.append,
        **uvicorns,
    )
    transport = FakeTransport(reads=reads)
    transport.connect(protocol)
    return transport


def statuses(transport: FakeTransport) -> list[int]:
    """The statuses of all responses; bodies in these tests hold no status line."""
    parts = transport.received.split(b"HTTP/1.1 ")[1:]
    return [int(part[:3]) for part in parts]


def the_error(transport: FakeTransport) -> dict[str, Any]:
    head, _, body = transport.received.partition(b"\r\n\r\n")
    assert b"connection: close" in head
    assert b"content-type: application/json" in head
    error: dict[str, Any] = json.loads(body)["error"]
    return error


async def test_requests_follow_one_another_on_a_connection(app: App) -> None:
    """Each is answered as uvicorn would, and the connection stays open for a moment."""
    client = connect(app)
    for body in (b"one", b"two"):
        client.send(post("/", body))
        await quiet()
        assert client.received.endswith(body)
    assert statuses(client) == [200, 200]
    assert not client.lost
    await asyncio.sleep(KEEP_ALIVE_S + 1)
    assert client.lost
    assert app.reasons == []


# Clients that do not send


async def test_a_connection_without_a_request_ends(app: App) -> None:
    """Whoever sends nothing is let go without a word."""
    client = connect(app)
    await asyncio.sleep(TIMEOUTS.receive_s - 1)
    assert not client.lost
    await asyncio.sleep(2)
    assert (client.lost, client.received) == (True, b"")
    assert app.reasons == [Ended.SILENT]


@pytest.mark.parametrize("head", [GET, b"\r\n" * 100, post("/", b"x" * 1000)])
async def test_a_request_that_trickles_ends(app: App, head: bytes) -> None:
    """Byte by byte or not at all: the whole request has its time, and then it is 408."""
    client = connect(app)
    for position in range(len(head) - 1):
        client.send(head[position : position + 1])
        await asyncio.sleep(TIMEOUTS.receive_s / 30)
    await asyncio.sleep(TIMEOUTS.receive_s)
    assert client.lost
    assert statuses(client) == [408]
    assert app.reasons == [Ended.SLOW_TO_SEND]
    assert the_error(client)["code"] == "invalid_request"


async def test_a_body_that_trickles_tells_its_request(app: App) -> None:
    """The request that waits for the rest learns that its client is gone."""
    client = connect(app)
    client.send(post("/wait", b"x" * 1000)[:-10])
    await asyncio.sleep(TIMEOUTS.receive_s + 1)
    assert (app.asked, app.gone, app.ended) == (["/wait"], ["/wait"], [])
    assert client.lost


async def test_a_request_that_is_answered_early_ends_too(app: App) -> None:
    """After a 413 the rest of the body is read, for no longer than any other request's."""
    client = connect(app)
    client.send(b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n")
    await quiet()
    assert statuses(client) == [413]
    for _ in range(30):
        client.send(b"x")
        await asyncio.sleep(1)
    assert client.lost
    assert statuses(client) == [413]


async def test_after_an_early_answer_the_connection_is_idle_again(app: App) -> None:
    """The end of the body begins the time of an idle connection, and the next request works."""
    client = connect(app)
    body = b"x" * 100
    head = b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
    client.send(head)
    await quiet()
    client.send(body)
    client.send(GET)
    await quiet()
    assert statuses(client) == [413, 200]
    client.send(head)
    await quiet()
    client.send(body)
    await asyncio.sleep(KEEP_ALIVE_S + 1)
    assert client.lost


async def test_line_ends_keep_no_connection(app: App) -> None:
    """Bytes that begin no request do not renew the time of an idle connection."""
    client = connect(app)
    client.send(GET)
    await quiet()
    for _ in range(10):
        client.send(b"\r\n")
        await asyncio.sleep(4)
    assert client.lost


async def test_a_request_under_way_has_all_the_time(app: App) -> None:
    """Once it was sent, a request is not hurried."""
    client = connect(app)
    client.send(post("/wait"))
    await asyncio.sleep(1000)
    assert not client.lost
    client.leave()
    await quiet()
    assert app.gone == ["/wait"]


# Clients that send too much


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nX: " + b"x" * 2 * MAX_HEAD_BYTES,
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * MAX_HEAD_BYTES,
        b"GET /" + b"x" * 2 * MAX_HEAD_BYTES,
        b"\r\n" * MAX_HEAD_BYTES,
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
        + b"X: y\r\n" * MAX_HEAD_BYTES,
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX: "
        + b"x" * 2 * MAX_HEAD_BYTES,
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"x" * 2 * MAX_HEAD_BYTES,
    ],
    ids=["a header", "headers", "a path", "lines", "trailers", "a trailer", "an extension"],
)
async def test_a_head_without_end_is_refused(app: App, head: bytes) -> None:
    """Whatever is not body is bounded, in front of the body and behind it."""
    client = connect(app)
    for start in range(0, len(head), 4096):
        client.send(head[start : start + 4096])
    await quiet()
    assert client.lost
    assert statuses(client) in ([431], [400])
    assert app.ended == []


async def test_a_body_in_small_chunks_is_taken(app: App) -> None:
    """One byte a chunk is a waste, but a request."""
    client = connect(app)
    client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(20_000):
        client.send(b"1\r\nx\r\n")
    client.send(b"0\r\n\r\n")
    await quiet()
    assert client.received.endswith(b"x" * 20_000)


async def test_trailers_are_no_headers(app: App) -> None:
    """What follows a body is read and belongs to no request."""
    client = connect(app)
    client.send(
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"1\r\nx\r\n0\r\nAuthorization: Bearer y\r\n\r\n"
    )
    await quiet()
    assert statuses(client) == [200]
    assert b"authorization" not in dict(app.headers)


# What is no request

GARBAGE = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"FETCH / HTTP/1.1\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET  HTTP/1.1\r\n\r\n",
    b"GET /\xff\xfe HTTP/1.1\r\n\r\n",
    b"GET /\x00 HTTP/1.1\r\n\r\n",
    b"GET http:// HTTP/1.1\r\n\r\n",
    b"CONNECT here:443 HTTP/1.1\r\n\r\n",
    b"CONNECT / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
    b"GET / HTTP/1.1\r\n: empty\r\n\r\n",
    b"GET / HTTP/1.1\r\nX: a\x00b\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 1e9\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
]


@pytest.mark.parametrize("data", GARBAGE)
async def test_what_is_no_request_is_refused(app: App, data: bytes) -> None:
    """A 400 in the envelope, and the end of the connection; nothing is answered twice."""
    client = connect(app)
    client.send(data)
    await quiet()
    assert statuses(client) == [400]
    assert the_error(client)["type"] == "invalid_request_error"
    assert app.reasons == [Ended.NO_HTTP]
    assert client.lost
    assert app.ended == []


async def test_garbage_in_a_body_ends_its_request(app: App) -> None:
    """The request that reads it is told; a response that has begun is not followed by another."""
    client = connect(app)
    client.send(b"POST /wait HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    await quiet()
    client.send(b"1\r\nx\r\nzzz\r\n")
    await quiet()
    assert (statuses(client), app.gone) == ([400], ["/wait"])

    client = connect(app)
    client.send(b"POST /early HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    await quiet()
    client.send(b"zzz\r\n")
    await quiet()
    assert (statuses(client), client.lost) == ([413], True)


@settings(max_examples=examples(200), suppress_health_check=BESIDE_FIXTURES)
@given(
    st.lists(
        st.sampled_from([*GARBAGE, GET, post("/", b"abc"), post("/early", b"x"), post("/wait")])
        | st.binary(max_size=200),
        max_size=6,
    ),
    st.integers(min_value=1, max_value=400),
)
async def test_no_bytes_hurt_the_server(app: App, parts: list[bytes], size: int) -> None:
    """Whatever comes in whatever pieces, the answers are well formed and the connection ends."""
    client = connect(app)
    data = b"".join(parts)
    for start in range(0, len(data), size):
        client.send(data[start : start + size])
        await asyncio.sleep(0)
    await quiet()
    assert all(status in {200, 400, 408, 413, 431} for status in statuses(client))
    if "/wait" in app.asked[-1:]:
        client.leave()
    await asyncio.sleep(TIMEOUTS.receive_s + KEEP_ALIVE_S + 1)
    assert client.lost
    assert len(client.protocol._table) == 0


@settings(max_examples=examples(60), suppress_health_check=BESIDE_FIXTURES)
@given(st.integers(min_value=1, max_value=120))
async def test_a_request_is_the_same_in_any_pieces(app: App, size: int) -> None:
    """Where the network cuts it does not matter, also if it asks for another protocol."""
    upgrade = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMA")
    for request in (post("/", b"body"), post("/", b"body", *upgrade)):
        client = connect(app)
        for start in range(0, len(request), size):
            client.send(request[start : start + size])
        await quiet()
        assert statuses(client) == [200]
        assert client.received.endswith(b"body")
        client.leave()


# Honest clients of every kind


@pytest.mark.parametrize("upgrade", [b"h2c", b"websocket", b"anything"])
async def test_an_upgrade_is_not_taken(app: App, upgrade: bytes) -> None:
    """A client that asks for another protocol gets its answer in this one, body included."""
    client = connect(app)
    asks = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: " + upgrade)
    client.send(post("/", b"the body", *asks))
    await quiet()
    client.send(post("/", b"the next"))
    await quiet()
    assert statuses(client) == [200, 200]
    assert b"the body" in client.received
    assert client.received.endswith(b"the next")


async def test_a_client_that_waits_for_leave_gets_it(app: App) -> None:
    """`Expect: 100-continue` is answered before the body, and other expectations are ignored."""
    client = connect(app)
    request = post("/", b"the body", b"Expect: 100-continue")
    client.send(request[:-8])
    await quiet()
    assert statuses(client) == [100]
    client.send(b"the body")
    await quiet()
    assert statuses(client) == [100, 200]

    client.send(post("/", b"x", b"Expect: miracles"))
    await quiet()
    assert statuses(client) == [100, 200, 200]


async def test_an_absolute_address_means_its_path(app: App) -> None:
    """Clients behind a proxy may send the whole address."""
    client = connect(app)
    client.send(b"GET http://here:80/path?x=1 HTTP/1.1\r\nHost: here\r\n\r\n")
    await quiet()
    assert (statuses(client), app.asked) == ([200], ["/path"])


# Several requests at once


async def test_a_request_that_does_not_wait_is_not_run(app: App) -> None:
    """The first of several is answered, the connection ends, and the client may ask again."""
    client = connect(app)
    client.send(GET + post("/wait") * 1000)
    await quiet()
    assert (statuses(client), app.asked) == ([200], ["/"])
    assert client.lost


@pytest.mark.parametrize("more", [post("/wait"), b"garbage\r\n\r\n", GET * 10_000])
async def test_a_client_that_leaves_is_noticed_whatever_it_sent(app: App, more: bytes) -> None:
    """Bytes behind a request hide neither the end of the connection nor its request from it."""
    client = connect(app)
    client.send(post("/wait"))
    await quiet()
    client.send(more)
    client.send(b"more\r\n")
    await quiet()
    assert (app.asked, app.gone, client.lost) == (["/wait"], [], False)
    client.leave()
    await quiet()
    assert (app.asked, app.gone) == (["/wait"], ["/wait"])


# Clients that do not read


async def test_an_answer_that_fits_does_not_wait_for_its_client(app: App) -> None:
    """Whoever makes a stream is done when it is made, and the connection ends later by itself."""
    client = connect(app, reads=False)
    client.send(post("/", b"x" * (WRITE_BUFFER_BYTES - 1000)))
    await quiet()
    assert app.ended == ["/"]
    await asyncio.sleep(TIMEOUTS.send_s + 1)
    assert client.lost


async def test_a_stream_ends_that_nobody_reads(app: App) -> None:
    """It holds so much and waits so long; then the connection is closed, and it hears of it."""
    client = connect(app, reads=False)
    client.send(post("/stream"))
    await asyncio.sleep(TIMEOUTS.send_s - 1)
    assert WRITE_BUFFER_BYTES <= client.get_write_buffer_size() <= WRITE_BUFFER_BYTES + 2 * PIECE
    assert not client.lost
    await asyncio.sleep(2)
    assert client.lost
    await quiet()
    assert app.ended == ["/stream"]
    assert app.reasons == [Ended.SLOW_TO_READ]


async def test_a_stream_does_not_live_on_a_trickle(app: App) -> None:
    """Reading a little from time to time does not buy more time for the whole."""
    client = connect(app, reads=False)
    client.send(post("/stream"))
    for _ in range(int(TIMEOUTS.send_s) + 1):
        await asyncio.sleep(1)
        client.take(1000)
    assert client.lost


async def test_a_client_of_http_1_0_gets_no_chunks(app: App) -> None:
    """A stream without a length ends with its connection; an answer with one keeps it."""
    client = connect(app)
    client.send(b"POST /stream HTTP/1.0\r\nContent-Length: 0\r\n\r\n")
    await quiet()
    head, _, body = client.received.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head
    assert b"connection: close" in head
    assert body == bytes(30 * PIECE)
    assert client.lost

    client = connect(app)
    client.send(b"POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\none")
    await quiet()
    head, _, body = client.received.partition(b"\r\n\r\n")
    assert b"content-length: 3" in head
    assert body == b"one"
    assert client.lost


async def test_a_slow_client_gets_a_whole_answer(app: App) -> None:
    """What is complete costs nobody else: it is sent as long as the client goes on reading."""
    client = connect(app, reads=False)
    client.send(post("/large", b"", b"Connection: close"))
    await quiet()
    assert app.ended == ["/large"]
    while not client.lost:
        await asyncio.sleep(TIMEOUTS.send_s - 1)
        client.take(300_000)
        await quiet()
    assert len(client.received) > 5_000_000


async def test_a_refusal_that_nobody_reads_ends(app: App) -> None:
    """Also the last words to a client that sends garbage and reads nothing have their time."""
    client = connect(app, reads=False)
    client.send(b"garbage\r\n\r\n")
    await asyncio.sleep(TIMEOUTS.send_s + 1)
    assert client.lost


# Many clients


async def test_waiting_connections_give_way(app: App) -> None:
    """Idle connections keep nobody out: the eldest ends, and the newcomer is answered."""
    table = ConnectionTable(3)
    idle = [connect(app, table=table) for _ in range(10)]
    client = connect(app, table=table)
    client.send(GET)
    await quiet()
    assert statuses(client) == [200]
    assert [one.lost for one in idle] == [True] * 8 + [False] * 2
    assert app.reasons == [Ended.CROWDED_OUT] * 8
    assert len(table) == 3


async def test_running_requests_do_not_give_way(app: App) -> None:
    """With every connection busy, a newcomer is told to come back, and nobody is cut off."""
    table = ConnectionTable(2)
    busy = [connect(app, table=table) for _ in range(2)]
    for client in busy:
        client.send(post("/wait"))
    await quiet()
    late = connect(app, table=table)
    await quiet()
    assert (statuses(late), late.lost) == ([503], True)
    assert b"retry-after: 1" in late.received
    assert the_error(late)["code"] == "engine_unavailable"
    assert app.reasons == [Ended.REFUSED]
    assert not any(client.lost for client in busy)

    busy[0].leave()
    await quiet()
    again = connect(app, table=table)
    again.send(GET)
    await quiet()
    assert statuses(again) == [200]
    busy[1].leave()
    await quiet()


async def test_a_server_that_is_about_to_end_ends_its_connections(app: App) -> None:
    """Each answer says that it is the last one, so a client turns to another server."""
    client = connect(app, draining=True)
    client.send(GET)
    await quiet()
    assert b"connection: close" in client.received
    assert client.lost
