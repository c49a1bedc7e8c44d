"""Accepts connections over TLS, and counts each from its first moment on.

An event loop's own server says nothing of a connection before its handshake is over, so whoever
opened connections and never shook hands would be counted nowhere. Here such a connection is one
that waits, and gives way like the others. Knows nothing of HTTP.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from functools import partial
from typing import TYPE_CHECKING, Protocol

from lorabay.server.http_protocol import Ended

if TYPE_CHECKING:
    from collections.abc import Callable

    from lorabay.server.connection_table import ConnectionTable
    from lorabay.server.tls import Certificate

HANDSHAKE_S = 10.0
"""Time for a TLS handshake."""

CLOSE_NOTIFY_S = 5.0
"""Time in which a client may confirm the end of a TLS connection."""

ACCEPT_AGAIN_S = 0.1
"""Pause after a connection that could not be accepted, for want of files, say."""


class MakeProtocol(Protocol):
    """A function that makes the protocol of one connection."""

    def __call__(self, *, stands: Callable[[], None]) -> asyncio.Protocol:
        """Return a protocol that calls `stands` before anything else once it has a connection."""
        ...


class TlsListener:
    """Shakes hands with whoever connects to a listening socket, by the certificate of the moment.

    `ended` is called with the reason for each connection that the server ends before it stands.
    """

    def __init__(
        self,
        listener: socket.socket,
        certificate: Certificate,
        table: ConnectionTable,
        make_protocol: MakeProtocol,
        ended: Callable[[Ended], None],
    ) -> None:
        self._listener = listener
        self._certificate = certificate
        self._table = table
        self._make_protocol = make_protocol
        self._ended = ended
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Accept connections until cancelled; handshakes under way end with it."""
        loop = asyncio.get_running_loop()
        self._listener.setblocking(False)
        try:
            while True:
                try:
                    client, _ = await loop.sock_accept(self._listener)
                except OSError:
                    await asyncio.sleep(ACCEPT_AGAIN_S)
                else:
                    self._take_in(client)
        finally:
            for task in self._tasks:
                task.cancel()

    def _take_in(self, client: socket.socket) -> None:
        handshake = _Handshake(client, self._table, self._ended)
        if not self._table.admit(handshake):
            # There is no telling why: that takes a handshake.
            self._ended(Ended.REFUSED)
            client.close()
            return

        task = handshake.begin(self._certificate.context, self._make_protocol)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Handshake:
    """One connection until its handshake is over; in the table it is one that waits."""

    def __init__(
        self, client: socket.socket, table: ConnectionTable, ended: Callable[[Ended], None]
    ) -> None:
        self._client = client
        self._table = table
        self._ended = ended
        self._is_taken = False
        """True once the loop has the socket, and closes it."""
        self._task: asyncio.Task[None]

    def begin(self, context: ssl.SSLContext, make_protocol: MakeProtocol) -> asyncio.Task[None]:
        """Return the task that shakes hands; its end is that of the handshake."""
        self._task = asyncio.create_task(self._shake_hands(context, make_protocol))
        # A task that is cancelled before its first step never gets as far as closing the socket.
        self._task.add_done_callback(lambda _: self._leave())
        return self._task

    def give_way(self) -> None:
        """Close at once."""
        self._ended(Ended.CROWDED_OUT)
        self._task.cancel()

    async def _shake_hands(self, context: ssl.SSLContext, make_protocol: MakeProtocol) -> None:
        try:
            self._client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().connect_accepted_socket(
                partial(self._take, make_protocol),
                self._client,
                ssl=context,
                ssl_handshake_timeout=HANDSHAKE_S,
                ssl_shutdown_timeout=CLOSE_NOTIFY_S,
            )
        except ConnectionAbortedError:
            self._ended(Ended.SILENT)
        except ssl.SSLError:
            self._ended(Ended.NO_HTTP)
        except OSError:
            pass  # the client has left

    def _take(self, make_protocol: MakeProtocol) -> asyncio.Protocol:
        self._is_taken = True
        # The place in the table is the protocol's own from then on.
        return make_protocol(stands=partial(self._table.remove, self))

    def _leave(self) -> None:
        self._table.remove(self)
        if not self._is_taken:
            self._client.close()
