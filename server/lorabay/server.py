"""The composition root of `lorabay serve`: reads the settings, builds the parts, runs them until a
signal.

Order of a start: settings, key, port, base, adapters, engine options; all of these fail fast and
with one line. Then HTTP answers (`/health`), and the engine comes up beside it (`/ready`).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import math
import os
import signal
import socket
from collections.abc import AsyncIterator, Mapping
from multiprocessing import active_children
from typing import TYPE_CHECKING, Any

import structlog
import uvicorn
from prometheus_client import CollectorRegistry

from lorabay.api.admin import admin_router
from lorabay.api.app import create_app
from lorabay.api.auth import choose_admin_gate, choose_gate
from lorabay.api.exchange import Parts
from lorabay.base.default import cache_folder, prepare
from lorabay.base.find import find_base, served_names
from lorabay.base.shapes import BaseShapes
from lorabay.base.weights import BaseWeights
from lorabay.catalog.admission import ALLOWED_RANKS, Checks
from lorabay.catalog.registry import Registry
from lorabay.catalog.store import Store
from lorabay.errors import SetupError, UsageError
from lorabay.files.adapter_folder import SCALES_FILE
from lorabay.logs import configure_logging
from lorabay.metrics import Metrics
from lorabay.serving.admin import Operations
from lorabay.serving.catalogue import Catalogue
from lorabay.serving.dora import scales_outputs
from lorabay.serving.events import EventLog
from lorabay.serving.machine_defaults import (
    adapter_options,
    host_memory_bytes,
    server_options,
    set_cpu_environment,
)
from lorabay.serving.manager import AdapterHost, Loading
from lorabay.serving.reconciler import Directory, Reconciler

if TYPE_CHECKING:
    from pathlib import Path

    from fastapi import FastAPI

    from lorabay.api.auth import Gate
    from lorabay.catalog.names import AdapterName
    from lorabay.catalog.versions import Digest, Version
    from lorabay.settings import Settings

logger = structlog.get_logger(__name__)

KEEP_ALIVE_S = 5


def serve(settings: Settings) -> None:
    """Run a server until SIGTERM or SIGINT; raises LorabayError when it cannot start or its engine
    fails to.
    """
    configure_logging(settings.log_format, settings.log_level)
    key = settings.api_key.get_secret_value() if settings.api_key else None
    gate = choose_gate(key, settings.host)
    admin_key = settings.admin_key.get_secret_value() if settings.admin_key else None
    with bind(settings.host, settings.port) as listener:
        if not key:
            logger.warning("no API key: only this machine can call the server", host=settings.host)
        start, app = compose(settings, gate, choose_admin_gate(admin_key))
        host, port = listener.getsockname()[:2]
        logger.info(
            "listening", url=f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        )
        run_http(app, listener, settings.grace_s, start)


def compose(settings: Settings, gate: Gate, admin_gate: Gate) -> tuple[ServerStart, FastAPI]:
    """Build the parts of a server and the application that joins them; reads the adapters, starts
    no engine.
    """
    base = find_base(settings.base or str(prepare(cache_folder())))
    names = served_names(settings.engine, base)
    metrics = Metrics(CollectorRegistry())
    scales = scales_outputs(os.environ, settings.engine, dora=settings.dora)
    weights = BaseWeights.open(base.path) if scales else None
    catalogue = open_catalogue(settings, BaseShapes.read(base.path, names=names), metrics, weights)
    asyncio.run(catalogue.reconciler.settle())
    set_cpu_environment(
        os.environ,
        kv_cache_gib=settings.cpu_kv_cache_gib,
        threads=settings.cpu_threads,
        workers=worker_count(settings.engine),
    )
    options = engine_options(settings, catalogue)
    catalogue.reconciler.limit_rank(_count(options, "max_lora_rank"))
    loading = Loading(
        capacity=_count(options, "max_cpu_loras") - 1,
        preload=_count(options, "max_loras"),
        timeout_s=settings.load_timeout_s,
        concurrent=settings.concurrent_loads,
    )
    from lorabay.serving.vllm_engine import VllmEngine  # imports vLLM, which takes seconds

    host = AdapterHost(VllmEngine(base, options), catalogue, metrics, loading)
    start = ServerStart(host)
    app = create_app(
        Parts(host.engine, catalogue.registry, host, metrics),
        gate,
        base_names=names,
        max_body_bytes=settings.max_body_bytes,
        declared_set_loaded=lambda: host.declared_set_loaded,
        lifespan=start.lifespan,
        routers=[admin_router(Operations(host, catalogue), admin_gate)],
    )
    return start, app


def open_catalogue(
    settings: Settings, shapes: BaseShapes, metrics: Metrics, weights: BaseWeights | None = None
) -> Catalogue:
    """Open the store, take up the records of the last run, and point a reconciler at the adapter
    directory.

    `weights` are the base's, when the engine can serve DoRA.
    """
    store = Store.open(settings.store)
    records = store.records(records_key(settings.adapters, shapes))
    registry = Registry(shapes.names, records, keep=settings.keep_versions)
    max_rank = _count({"max_lora_rank": ALLOWED_RANKS[-1]} | settings.engine, "max_lora_rank")

    def find(name: AdapterName, digest: Digest) -> Version | None:
        version = store.get(name, digest)
        if version is None or version.spec.rank > max_rank:
            return None
        return version if weights is not None or not (version.path / SCALES_FILE).exists() else None

    registry.restore(find)
    checks = Checks(
        shapes,
        max_rank,
        refuse_foreign_base=settings.refuse_foreign_base,
        base_weights=weights,
        approximate_error=settings.approximate_error,
    )
    directory = Directory(
        settings.adapters, settings.allowed_roots, settings.settle_s, settings.poll_s
    )
    events = EventLog(settings.store / "events.jsonl")
    reconciler = Reconciler(directory, store, checks, registry, events, metrics)
    return Catalogue(directory, store, registry, reconciler, events)


def records_key(adapters: Path, shapes: BaseShapes) -> str:
    """Give what servers share whose adapters of one name are the same: the directory and the
    base.
    """
    facts = [str(adapters.resolve()), shapes.names[0], sorted(shapes.shapes.items())]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def engine_options(settings: Settings, catalogue: Catalogue) -> dict[str, Any]:
    """Give vLLM's options: the user's, and for the rest what the host and the adapters ask for."""
    specs = {version.adapter: version.spec for version in catalogue.reconciler.declared()}
    former = [version.spec for status in catalogue.registry.snapshot() for version in status.kept]
    chosen = adapter_options([*specs.values()], ALLOWED_RANKS, host_memory_bytes(), former=former)
    options = server_options(settings.grace_s) | chosen | settings.engine
    # A user who raises the slots alone means to have that many; vLLM refuses fewer places in memory
    # than slots.
    options["max_cpu_loras"] = max(
        _count(options, "max_cpu_loras"), _count(options, "max_loras") + 1
    )
    return options


def worker_count(options: Mapping[str, Any]) -> int:
    """Give the number of processes that vLLM will spread the model and its copies over."""
    sizes = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")
    return math.prod(_count({size: 1} | dict(options), size) for size in sizes)


def _count(options: Mapping[str, Any], name: str) -> int:
    try:
        return int(options[name])
    except (TypeError, ValueError):
        raise UsageError(
            f"engine option {name!r} takes a whole number, not {options[name]!r}"
        ) from None


def bind(host: str, port: int) -> socket.socket:
    """Take the address before the slow work begins; raises SetupError when it cannot be had."""
    with contextlib.ExitStack() as on_failure:
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            listener = on_failure.enter_context(socket.socket(family, socket.SOCK_STREAM))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            # Two sockets may be bound to one port as long as neither listens: the second starter
            # must fail here.
            listener.listen()
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise SetupError(f"cannot listen on {host}:{port}: {reason}") from None
        on_failure.pop_all()
    return listener


class ServerStart:
    """Brings the engine and its adapters up while HTTP already answers; stops the server if it
    cannot.
    """

    def __init__(self, host: AdapterHost) -> None:
        self._host = host
        self.server: uvicorn.Server | None = None
        self.failure: BaseException | None = None

    @contextlib.asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """Run from the application's start to its end."""
        task = asyncio.create_task(self._host.start())
        task.add_done_callback(self._started)
        yield
        if not self._host.engine.up:
            # The engine process is coming up, at the start or after a death: without it, that
            # thread ends at once.
            for child in active_children():
                child.terminate()
        elif not task.done():
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await self._host.stop()

    def _started(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or (self.server is not None and self.server.should_exit):
            return  # the server is being stopped: a start that was cut off is no failure
        self.failure = task.exception()
        if self.failure is None:
            logger.info("ready")
        elif self.server is not None:
            self.server.should_exit = True


def run_http(app: FastAPI, listener: socket.socket, grace_s: float, start: ServerStart) -> None:
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
    # uvicorn raises the signal again once it is done; a handler of our own makes SIGTERM end in
    # exit code 0.
    signal.signal(signal.SIGTERM, lambda *_: None)
    start.server.run(sockets=[listener])
    if start.failure is not None:
        raise start.failure
