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

if TYPE_CHECKING:
    import socket
    from types import FrameType

    from starlette.types import ASGIApp

    from lorabay.server.http_protocol import Ended
    from lorabay.server.tls import Certificate

HANDSHAKE_S = 10.0
"""Time for a TLS handshake. A connection is not counted before it, so this bounds their number."""

CLOSE_NOTIFY_S = 5.0
"""Time in which a client may confirm the end of a TLS connection."""


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
        self._following: asyncio.Task[None] | None = None
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
        tls: dict[str, Any] = {}
        if self._certificate is not None:
            tls = {
                "ssl": self._certificate.context,
                "ssl_handshake_timeout": HANDSHAKE_S,
                "ssl_shutdown_timeout": CLOSE_NOTIFY_S,
            }
            self._following = asyncio.create_task(self._certificate.follow())

        loop = asyncio.get_running_loop()
        self.servers = [
            await loop.create_server(
                self._create_protocol, sock=listener, backlog=self.config.backlog, **tls
            )
            for listener in sockets or ()
        ]
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept nobody more, and give what runs its time to end."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        await super().shutdown(sockets)

    def _create_protocol(self) -> asyncio.Protocol:
        protocol: Any = self.config.http_protocol_class
        made: asyncio.Protocol = protocol(
            config=self.config, server_state=self.server_state, app_state={}
        )
        return made
