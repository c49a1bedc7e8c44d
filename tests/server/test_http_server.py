"""The HTTP server over real sockets: clients that read nothing, TLS, and how it ends."""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from lorabay.server.http_protocol import Timeouts
from lorabay.server.http_server import HttpServer
from lorabay.server.listener import bind
from lorabay.server.tls import Certificate
from tests.certificates import make_certificate

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

PATIENCE_S = 60.0
PATIENT = Timeouts(receive_s=60.0, send_s=60.0)
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class App:
    """Answers at once, but for `/endless`, which streams until its client is gone."""

    def __init__(self) -> None:
        self.stuck = asyncio.Event()
        self.gone = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] == "/endless":
            writing = asyncio.create_task(self._endless(send))
            while (await receive())["type"] != "http.disconnect":
                pass
            self.gone.set()
            writing.cancel()
            return
        await send({"type": "http.response.body", "body": b"here"})

    async def _endless(self, send: Send) -> None:
        while True:
            piece = {"type": "http.response.body", "body": bytes(500_000), "more_body": True}
            await send(piece)
            await asyncio.sleep(0)


@asynccontextmanager
async def serving(
    app: App,
    *,
    timeouts: Timeouts = PATIENT,
    max_connections: int = 1000,
    keep_alive_s: float = 75.0,
    drain_s: float = 0.0,
    certificate: Certificate | None = None,
) -> AsyncIterator[tuple[HttpServer, int]]:
    """Run a server while the block lasts; gives it and its port."""
    server = HttpServer(
        app,
        timeouts=timeouts,
        max_connections=max_connections,
        keep_alive_s=keep_alive_s,
        drain_s=drain_s,
        grace_s=0,
        certificate=certificate,
    )
    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    running = asyncio.create_task(server._serve([listener]))
    while not server.started:
        await asyncio.sleep(0)
    yield server, port
    server.should_exit = True
    await asyncio.wait_for(running, PATIENCE_S)


async def ask(port: int, request: bytes = GET, tls: ssl.SSLContext | None = None) -> bytes:
    """Send one request on a connection of its own, and give the whole answer."""
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
        writer.write(request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        answer = await reader.read()
        writer.close()
    return answer


def connect_idle(port: int, count: int) -> list[socket.socket]:
    return [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]


def connect_deaf(port: int, request: bytes) -> socket.socket:
    """Open a connection with a small window, ask, and never read."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", port))
    client.sendall(request)
    return client


async def test_requests_are_answered_beside_idle_connections() -> None:
    """More connections than are taken may be opened; whoever asks is answered."""
    async with serving(App(), max_connections=50) as (server, port):
        idle = await asyncio.to_thread(connect_idle, port, 300)
        assert (await ask(port)).endswith(b"here\r\n0\r\n\r\n")
        assert 0 < server.connections <= 50
        for connection in idle:
            connection.close()


async def test_a_connection_is_kept_for_the_time_that_was_set() -> None:
    """It takes one request after the other, and ends by itself when none comes."""
    for keep_alive_s, requests in ((75.0, 2), (0.05, 1)):
        async with serving(App(), keep_alive_s=keep_alive_s) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            async with asyncio.timeout(PATIENCE_S):
                for _ in range(requests):
                    writer.write(GET)
                    assert await reader.readuntil(b"0\r\n\r\n")
                if requests == 1:
                    assert await reader.read() == b""
            writer.close()


async def test_a_stream_that_nobody_reads_ends() -> None:
    """The network's buffers and ours fill up, and after the time to read its maker is told."""
    app = App()
    async with serving(app, timeouts=Timeouts(60.0, 0.2)) as (_, port):
        request = b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n"
        deaf = [await asyncio.to_thread(connect_deaf, port, request) for _ in range(5)]
        await asyncio.wait_for(app.gone.wait(), PATIENCE_S)
        assert (await ask(port)).endswith(b"here\r\n0\r\n\r\n")
        for connection in deaf:
            connection.close()


async def test_signals_and_draining(monkeypatch: pytest.MonkeyPatch) -> None:
    """From SIGTERM on the server drains, in which it answers as before; then it ends by itself."""
    now = 0.0
    clock = SimpleNamespace(monotonic=lambda: now)
    monkeypatch.setattr("lorabay.server.http_server.time", clock)
    async with serving(App(), drain_s=5.0) as (server, port):
        assert not server.draining
        server.handle_exit(signal.SIGTERM, None)
        assert (server.draining, server.should_exit) == (True, False)
        assert (await ask(port)).endswith(b"here\r\n0\r\n\r\n")
        assert not await server.on_tick(1)
        now = 5.0
        assert await server.on_tick(1)
        server._captured_signals.clear()


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_the_draining(second: int) -> None:
    """Whoever is in a hurry need not wait."""
    async with serving(App(), drain_s=1000.0) as (server, _):
        server.handle_exit(signal.SIGTERM, None)
        server.handle_exit(second, None)
        assert server.should_exit
        server._captured_signals.clear()


async def test_without_a_time_to_drain_sigterm_ends_at_once() -> None:
    """As it was, and as Ctrl-C always does."""
    async with serving(App()) as (server, _):
        server.handle_exit(signal.SIGTERM, None)
        assert server.should_exit
        server._captured_signals.clear()
    async with serving(App(), drain_s=1000.0) as (server, _):
        server.handle_exit(signal.SIGINT, None)
        assert server.should_exit
        server._captured_signals.clear()


def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


async def test_tls_is_spoken_with_the_certificate(tmp_path: Path) -> None:
    """Clients that trust it are answered, and plain HTTP is not."""
    file, key = make_certificate(tmp_path)
    async with serving(App(), certificate=Certificate(file, key)) as (_, port):
        assert (await ask(port, tls=trusting(file))).endswith(b"here\r\n0\r\n\r\n")
        with pytest.raises((ConnectionError, AssertionError)):
            assert await ask(port)


async def test_a_new_certificate_drops_no_connection(tmp_path: Path) -> None:
    """Connections that are open go on; new ones see the new certificate."""
    file, key = make_certificate(tmp_path)
    certificate = Certificate(file, key)
    old = trusting(file)
    async with serving(App(), certificate=certificate) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=old)
        make_certificate(tmp_path)
        await certificate.reload()
        writer.write(GET)
        assert await reader.readuntil(b"0\r\n\r\n")
        assert (await ask(port, tls=trusting(file))).startswith(b"HTTP/1.1 200")
        with pytest.raises(ssl.SSLCertVerificationError):
            await ask(port, tls=old)
        writer.close()


async def test_a_handshake_that_is_never_made_keeps_nobody_out(tmp_path: Path) -> None:
    """Connections that say nothing are counted, and give way to those that do."""
    file, key = make_certificate(tmp_path)
    certificate = Certificate(file, key)
    async with serving(App(), certificate=certificate, max_connections=5) as (server, port):
        silent = await asyncio.to_thread(connect_idle, port, 20)
        assert (await ask(port, tls=trusting(file))).startswith(b"HTTP/1.1 200")
        assert 0 < server.connections <= 5
        for connection in silent:
            connection.close()


async def test_a_stream_over_tls_that_nobody_reads_ends(tmp_path: Path) -> None:
    """Encryption hides no slow client."""
    file, key = make_certificate(tmp_path)
    app = App()
    async with serving(app, certificate=Certificate(file, key), timeouts=Timeouts(60.0, 0.2)) as (
        _,
        port,
    ):
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting(file), limit=1024)
        writer.write(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.wait_for(app.gone.wait(), PATIENCE_S)
        writer.transport.abort()
