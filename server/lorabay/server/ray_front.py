"""The server in front of engines on Ray, as an application of Ray Serve: for `serve run`, `serve
deploy` and KubeRay.

Ray's own proxy takes the requests, and one front answers them. It deploys its engines as a second
application. A front that comes back after a death finds them running. Connections and TLS are
the proxy's here; everything behind them is as in `lorabay ray deploy`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from lorabay.api.auth import choose_gate
from lorabay.api.keyring import Keyring
from lorabay.errors import LorabayError, SetupError, UsageError
from lorabay.logs import configure_logging, quiet_engine
from lorabay.server.accounts import open_accounts
from lorabay.server.oidc import admin_side
from lorabay.server.server import Server, secret_of
from lorabay.settings import load_settings

if TYPE_CHECKING:
    from ray.serve import Application
    from starlette.types import ASGIApp, Receive, Scope, Send

    from lorabay.settings import Settings

FRONT = "front"
REPLICAS = 2
"""Engines that are deployed where no number is given."""
AT_ONCE = 10_000
"""Requests that the front takes at a time: its own queue has bounds, and says why."""
LOOK_S = 0.5
"""Time between two looks at whether a start has failed."""
EVERYWHERE = "0.0.0.0"  # noqa: S104
"""Where Ray's proxy listens, for all that the front knows: so it wants a key."""


def application(arguments: Mapping[str, Any]) -> Application:
    """Return the application for Ray Serve; `arguments` are settings of `lorabay serve` by name.

    Raises UsageError for settings that are wrong. Starts nothing; the front reads its environment
    and its files where it runs.
    """
    from ray import serve

    settings = settings_of(arguments)
    front = serve.deployment(serve.ingress()(Front)).options(
        name=FRONT,
        num_replicas=settings.ray_fronts,
        max_ongoing_requests=AT_ONCE,
        graceful_shutdown_timeout_s=settings.grace_s,
        ray_actor_options={"num_cpus": 1},
    )
    return front.bind(dict(arguments))


def settings_of(arguments: Mapping[str, Any]) -> Settings:
    """Return the settings of a front: two engines unless they say, and reached from anywhere."""
    settings = load_settings({"host": EVERYWHERE} | dict(arguments))
    if settings.ray_fronts > 1 and settings.cluster is None:
        raise UsageError(
            "more than one front want a cluster, in which they share their names: give it a name "
            "with `cluster`, and the database that they share with `database`"
        )
    if settings.ray_replicas:
        return settings
    return settings.model_copy(update={"ray_replicas": REPLICAS})


class Front:
    """The front, as Ray Serve starts it, asks it whether it is well, and ends it."""

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self._settings = settings_of(arguments)
        self._server: Server | None = None

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """Return what answers requests, and begins and ends the server; Ray Serve asks for it."""
        configure_logging(self._settings.log_format, self._settings.log_level)
        quiet_engine(os.environ, self._settings.log_level)
        return WithLife(self._lived)

    def check_health(self) -> None:
        """Raise if the start has failed; Ray then makes another front."""
        failure = None if self._server is None else self._server.failure
        if failure is not None:
            raise SetupError(f"the server did not come up: {failure}")

    @asynccontextmanager
    async def _lived(self) -> AsyncIterator[ASGIApp]:
        """Run the server while the block lasts; yield what answers requests."""
        settings = self._settings
        keys = Keyring(secret_of(settings.api_key), settings.api_key_file)
        admin_keys = Keyring(secret_of(settings.admin_key), settings.admin_key_file)
        admin_gate, issuer_keys = admin_side(settings, admin_keys)

        with open_accounts(settings) as accounts:
            self._server = Server(
                settings,
                choose_gate(keys, settings.host, None if accounts is None else accounts.keys),
                admin_gate,
                keyrings=(keys, admin_keys),
                issuer_keys=issuer_keys,
                accounts=accounts,
            )
            is_ready = asyncio.Event()
            self._server.when_ready = is_ready.set
            async with self._server.running():
                if settings.ray_fronts > 1:
                    # Others answer meanwhile; Ray asks whoever says that it is there.
                    await _ready(is_ready, self._server)
                yield self._server.app


async def _ready(is_ready: asyncio.Event, server: Server) -> None:
    """Return once a server is ready; raises SetupError if its start fails."""
    while not is_ready.is_set():
        if server.failure is not None:
            raise SetupError(f"the server did not come up: {server.failure}")
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                await is_ready.wait()


Life = Callable[[], AbstractAsyncContextManager["ASGIApp"]]
"""What is entered at the start, gives what answers requests, and is left at the end."""


class WithLife:
    """An ASGI application whose lifespan is that of what answers."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif self._app is not None:
            await self._app(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        async with AsyncExitStack() as stack:
            try:
                self._app = await stack.enter_async_context(self._life())
            except LorabayError as error:
                await send({"type": "lifespan.startup.failed", "message": error.message})
                return
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})
