"""Connections over TLS before their handshake is over, over real sockets."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lorabay.server import tls_listener
from lorabay.server.connection_table import ConnectionTable
from lorabay.server.http_protocol import Ended
from lorabay.server.listener import bind
from lorabay.server.tls import Certificate
from lorabay.server.tls_listener import TlsListener
from tests.certificates import make_certificate

PATIENCE_S = 20.0


class Greeter(asyncio.Protocol):
    """Says hello to whoever has shaken hands."""

    def __init__(self, stands: Callable[[], None]) -> None:
        self._stands = stands

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._stands()
        transport.write(b"hello")
        transport.close()


@dataclass
class Listening:
    """A listener that runs: its port, its table, and why connections ended."""

    port: int
    table: ConnectionTable
    certificate: Path
    reasons: list[Ended] = field(default_factory=list)

    async def greeting(self) -> bytes:
        """Shake hands, and return what comes."""
        trusting = ssl.create_default_context(cafile=str(self.certificate))
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=trusting)
            received = await reader.read()
            writer.close()
        return received

    async def connect(self) -> socket.socket:
        """Open a connection that says nothing."""
        return await asyncio.to_thread(socket.create_connection, ("127.0.0.1", self.port))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                await asyncio.sleep(0.001)


@asynccontextmanager
async def listening(
    folder: Path, *, limit: int = 3, kind: type[socket.socket] = socket.socket
) -> AsyncIterator[Listening]:
    """Run a listener while the block lasts."""
    file, key = make_certificate(folder)
    listener = kind(fileno=bind("127.0.0.1", 0).detach())
    shown = Listening(listener.getsockname()[1], ConnectionTable(limit), file)
    accepting = TlsListener(
        listener, Certificate(file, key), shown.table, Greeter, shown.reasons.append
    )
    running = asyncio.create_task(accepting.run())
    try:
        yield shown
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        listener.close()


async def closed(client: socket.socket) -> bool:
    """Return whether the server ends a connection."""
    client.settimeout(PATIENCE_S)
    with client:
        try:
            return await asyncio.to_thread(client.recv, 1) == b""
        except ConnectionResetError:
            return True


async def test_connections_count_before_their_handshake(tmp_path: Path) -> None:
    """Those that never shake hands take places, and give way: the eldest first, then the next."""
    async with listening(tmp_path, limit=3) as server:
        silent = []
        for count in (1, 2, 3):
            silent.append(await server.connect())
            await server.until(lambda count=count: len(server.table) == count)

        assert await server.greeting() == b"hello"
        assert server.reasons == [Ended.CROWDED_OUT]
        assert await closed(silent[0])
        await server.until(lambda: len(server.table) == 2)
        silent += [await server.connect(), await server.connect()]
        assert await closed(silent[1])
        assert len(server.table) == 3
    assert [await closed(client) for client in silent[2:]] == [True, True, True]


async def test_nobody_is_taken_in_while_all_are_busy(tmp_path: Path) -> None:
    """Without a handshake there is no telling why: the connection ends."""

    class Busy:
        def give_way(self) -> None:
            raise AssertionError

    async with listening(tmp_path, limit=1) as server:
        busy = Busy()
        server.table.admit(busy)
        server.table.is_busy(busy)
        assert await closed(await server.connect())
        assert server.reasons == [Ended.REFUSED]


async def test_a_handshake_has_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that says nothing ends by itself, and is counted no more."""
    monkeypatch.setattr(tls_listener, "HANDSHAKE_S", 0.05)
    async with listening(tmp_path) as server:
        assert await closed(await server.connect())
        await server.until(lambda: len(server.table) == 0)
        assert server.reasons == [Ended.SILENT]


async def test_what_is_no_handshake_ends(tmp_path: Path) -> None:
    """Somebody who speaks plain HTTP is cut off, and the next client is served."""
    async with listening(tmp_path) as server:
        client = await server.connect()
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        await server.until(lambda: server.reasons == [Ended.NO_HTTP])
        client.close()
        assert await server.greeting() == b"hello"
        await server.until(lambda: len(server.table) == 0)


async def test_a_client_that_leaves_in_its_handshake_is_no_reason(tmp_path: Path) -> None:
    """It is only forgotten."""
    async with listening(tmp_path) as server:
        client = await server.connect()
        await server.until(lambda: len(server.table) == 1)
        client.close()
        await server.until(lambda: len(server.table) == 0)
        assert server.reasons == []


async def test_a_listener_without_files_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that could not be accepted is tried again, as the kernel keeps it."""
    failures = [OSError(errno.EMFILE, "Too many open files")]

    class FailsOnce(socket.socket):
        def accept(self) -> tuple[socket.socket, object]:
            if failures:
                raise failures.pop()
            return super().accept()

    monkeypatch.setattr(tls_listener, "ACCEPT_AGAIN_S", 0.001)
    async with listening(tmp_path, kind=FailsOnce) as server:
        assert await server.greeting() == b"hello"
    assert not failures
