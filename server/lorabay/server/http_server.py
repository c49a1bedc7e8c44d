"""uvicorn's server, with a time between the signal and the end in which balancers turn away.

Knows sockets, signals and TLS, and nothing of what the application answers.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import uvicorn

from lorabay.server.connection_table import ConnectionTable
from lorabay.server.http_protocol import HttpProtocol, Timeouts
from lorabay.server.tls_listener import TlsListener

if TYPE_CHECKING:
    import socket
    from types import FrameType

    from starlette.types import ASGIApp

    from lorabay.server.http_protocol import Ended
    from lorabay.server.tls import Certificate


class HttpServer(uvicorn.Server):
    """Serves one application on listening sockets until a signal, or until `should_exit` is set.

    After SIGTERM it is `draining` for `drain_s` seconds, in which it serves as before. Then running
    requests get `grace_s` seconds to end. A connection without a request stays open for
    `keep_alive_s` seconds. `ended` is called with the reason for each connection that the server
    ends because of its client.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        timeouts: Timeouts,
        max_connections: int,
        keep_alive_s: float,
        drain_s: float,
        grace_s: float,
        certificate: Certificate | None = None,
        ended: Callable[[Ended], None] = lambda reason: None,
    ) -> None:
        self._table = ConnectionTable(max_connections)
        protocol = partial(
            HttpProtocol,
            table=self._table,
            timeouts=timeouts,
            draining=lambda: self.draining,
            ended=ended,
        )
        super().__init__(
            uvicorn.Config(
                cast("Any", app),
                http=cast("Any", protocol),
                # Nothing here speaks WebSocket, and nobody's headers are believed.
                ws="none",
                proxy_headers=False,
                lifespan="off",
                # Else uvicorn reads WEB_CONCURRENCY, which hosts set for other programs.
                workers=1,
                # `configure_logging` has set uvicorn's logger up. Its own configuration would close
                # the handlers of every other library in the process.
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                # Typed as whole seconds; uvicorn hands it to a timer.
                timeout_keep_alive=cast("int", keep_alive_s),
                timeout_graceful_shutdown=round(grace_s),
            )
        )
        self._certificate = certificate
        self._ended = ended
        self._over_tls: list[asyncio.Task[None]] = []
        """What runs as long as connections over TLS are accepted."""
        self._drain_s = drain_s
        self._exit_at: float | None = None

    @property
    def connections(self) -> int:
        """Connections of clients that are open now."""
        return len(self._table)

    @property
    def draining(self) -> bool:
        """Return whether a signal has told the server to end."""
        return self._exit_at is not None or self.should_exit

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain at the first SIGTERM; end at once at any further signal."""
        if sig == signal.SIGTERM and self._drain_s and not self.draining:
            self._captured_signals.append(sig)
            self._exit_at = time.monotonic() + self._drain_s
            return
        super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Return whether it is time to end; uvicorn asks ten times a second."""
        if self._exit_at is not None and time.monotonic() >= self._exit_at:
            self.should_exit = True
        return await super().on_tick(counter)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections; uvicorn's own way has no bounds on a TLS handshake."""
        if self._certificate is not None:
            self._accept_over_tls(sockets or [], self._certificate)
        else:
            loop, backlog = asyncio.get_running_loop(), self.config.backlog
            self.servers = [
                await loop.create_server(self._create_protocol, sock=listener, backlog=backlog)
                for listener in sockets or ()
            ]
        self.started = True

    def _accept_over_tls(self, sockets: list[socket.socket], certificate: Certificate) -> None:
        self.servers = []
        self._over_tls = [asyncio.create_task(certificate.follow())]
        for listener in sockets:
            listener.listen(self.config.backlog)
            accepting = TlsListener(
                listener, certificate, self._table, self._create_protocol, self._ended
            )
            self._over_tls.append(asyncio.create_task(accepting.run()))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept nobody more, and give what runs its time to end."""
        for task in self._over_tls:
            task.cancel()
        await asyncio.gather(*self._over_tls, return_exceptions=True)
        await super().shutdown(sockets)

    def _create_protocol(self, *, stands: Callable[[], None] = lambda: None) -> asyncio.Protocol:
        protocol: Any = self.config.http_protocol_class
        made: asyncio.Protocol = protocol(
            config=self.config, server_state=self.server_state, app_state={}, stands=stands
        )
        return made
