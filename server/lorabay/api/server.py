"""The composition root of `lorabay serve`: reads the settings, builds the parts, runs them until a signal.

Order of a start: settings, key, port, base, adapters, engine options; all of these fail fast and with one line. Then
HTTP answers (`/health`), and the engine comes up beside it (`/ready`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator
from multiprocessing import active_children
from typing import TYPE_CHECKING

import structlog
import uvicorn
from prometheus_client import CollectorRegistry

from lorabay.api.app import create_app
from lorabay.api.auth import choose_gate
from lorabay.catalog.base_shapes import BaseShapes
from lorabay.catalog.records import Records
from lorabay.catalog.registry import Registry
from lorabay.catalog.store import Store
from lorabay.catalog.validation import ALLOWED_RANKS, Checks
from lorabay.errors import LorabayError, SetupError
from lorabay.logs import configure_logging
from lorabay.metrics import Metrics
from lorabay.offline.base_model import cache_folder, prepare
from lorabay.serving import create_engine
from lorabay.serving.base_folder import find_base, served_names
from lorabay.serving.host_options import adapter_options, server_options, set_cpu_environment
from lorabay.serving.intake import take_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastapi import FastAPI

    from lorabay.api.auth import Gate
    from lorabay.catalog.spec import Version
    from lorabay.serving.engine import Engine
    from lorabay.settings import Settings

logger = structlog.get_logger(__name__)

KEEP_ALIVE_S = 5


def serve(settings: Settings) -> None:
    """Run a server until SIGTERM or SIGINT; raises LorabayError when it cannot start or its engine fails to."""
    configure_logging(settings.log_format, settings.log_level)
    key = settings.api_key.get_secret_value() if settings.api_key else None
    gate = choose_gate(key, settings.host)
    with bind(settings.host, settings.port) as listener:
        if key is None:
            logger.warning("no API key: only this machine can call the server", host=settings.host)
        start, app = compose(settings, gate)
        host, port = listener.getsockname()[:2]
        logger.info("listening", url=f"http://{host}:{port}")
        run_http(app, listener, settings.grace_s, start)


def compose(settings: Settings, gate: Gate) -> tuple[EngineStart, FastAPI]:
    """Build the parts of a server and the application that joins them; starts nothing."""
    base = find_base(settings.base or str(prepare(cache_folder())))
    base_names = served_names(settings.engine, base)
    max_rank = int(settings.engine.get("max_lora_rank", ALLOWED_RANKS[-1]))
    checks = Checks(BaseShapes.read(base.path, names=base_names), max_rank)
    registry = Registry(base_names, Records(settings.store / "records"))
    versions = take_in(settings.adapters, Store.open(settings.store), checks, registry)
    set_cpu_environment(os.environ, kv_cache_gib=settings.cpu_kv_cache_gib, threads=settings.cpu_threads)
    ranks = [version.spec.rank for version in versions]
    options = server_options(settings.grace_s) | adapter_options(ranks, ALLOWED_RANKS) | settings.engine
    engine = create_engine(base, options)
    metrics = Metrics(CollectorRegistry())
    for version in versions:
        spec = version.spec
        metrics.adapter_info.labels(version.adapter, spec.digest[:12], spec.format, str(spec.rank)).set(1)
    start = EngineStart(engine, versions)
    app = create_app(
        engine,
        registry,
        metrics,
        gate,
        base_names=base_names,
        max_body_bytes=settings.max_body_bytes,
        declared_set_loaded=lambda: start.done,
        lifespan=start.lifespan,
    )
    return start, app


def bind(host: str, port: int) -> socket.socket:
    """Take the address before the slow work begins; raises SetupError when it cannot be had."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        raise SetupError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
    return listener


class EngineStart:
    """Brings the engine and the declared adapters up while HTTP already answers; stops the server if it cannot."""

    def __init__(self, engine: Engine, versions: Sequence[Version]) -> None:
        self._engine = engine
        self._versions = versions
        self.server: uvicorn.Server | None = None
        self.failure: LorabayError | None = None
        self.done = False

    @contextlib.asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """Run from the application's start to its end."""
        task = asyncio.create_task(self._start())
        yield
        if not task.done():
            # The engine process is still coming up: without it, the starting thread ends at once.
            for child in active_children():
                child.terminate()
        await asyncio.gather(task, return_exceptions=True)
        await self._engine.stop()

    async def _start(self) -> None:
        try:
            await self._engine.start()
            for version in self._versions:
                await self._engine.load(version)
        except LorabayError as failure:
            self.failure = failure
            if self.server is not None:
                self.server.should_exit = True
            return
        self.done = True
        logger.info("ready", adapters=[version.id for version in self._versions])


def run_http(app: FastAPI, listener: socket.socket, grace_s: float, start: EngineStart) -> None:
    """Serve until a signal or a failed start; running requests get `grace_s` seconds."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=round(grace_s),
    )
    start.server = uvicorn.Server(config)
    # uvicorn raises the signal again once it is done; a handler of our own makes SIGTERM end in exit code 0.
    signal.signal(signal.SIGTERM, lambda *_: None)
    start.server.run(sockets=[listener])
    if start.failure is not None:
        raise start.failure
