"""The life of a server, from its first answer on `/health` to the end of its engine.

Everything runs on one event loop; what blocks goes to threads. Logging, keys and the port come
first, and fail before anything is served. From then on HTTP answers (`/health`), while the start
goes on beside it: base, store, adapter directory, engine options, engine, adapters (`/ready`). A
start that fails ends the server, and `serve` raises its reason.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from multiprocessing import active_children
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from prometheus_client import CollectorRegistry

from lorabay.api.admin import admin_router
from lorabay.api.admin_changes import changes_router
from lorabay.api.admin_keys import keys_router
from lorabay.api.admin_limits import limits_router
from lorabay.api.admin_rollouts import rollouts_router
from lorabay.api.admin_uploads import uploads_router
from lorabay.api.allowance.allowance import Allowances
from lorabay.api.app import create_app
from lorabay.api.audit import audit_router
from lorabay.api.auth import OpenGate, choose_gate
from lorabay.api.front import front_of
from lorabay.api.hosts import choose_hosts
from lorabay.api.keyring import Keyring
from lorabay.api.live.recorder import LiveRecorder
from lorabay.api.live.ring import Ring, turn_on
from lorabay.api.live.stream import live_router
from lorabay.api.meanings import OwnMeanings
from lorabay.api.parts import Parts
from lorabay.api.starting import StartingApp
from lorabay.api.usage import usage_router
from lorabay.base.default import cache_folder, prepare
from lorabay.base.files import BaseFiles
from lorabay.base.find import find_base, revision_of, served_names
from lorabay.base.quantised.dense import with_hidden_shapes
from lorabay.base.shapes import BaseShapes
from lorabay.base.tokenizer import BaseTokenizer
from lorabay.base.weights import BaseWeights
from lorabay.catalog.store import Store
from lorabay.errors import CallNotServed, SetupError
from lorabay.files.daemon_threads import DaemonThreads
from lorabay.logs import configure_logging, quiet_engine
from lorabay.metrics import Metrics
from lorabay.progress import progress_bar
from lorabay.server.accounts import open_accounts
from lorabay.server.adapted_modules import left_out
from lorabay.server.ahead import Ahead
from lorabay.server.audit import Auditor
from lorabay.server.auto import auto_model, read_router
from lorabay.server.composition import build_reconciler, request_limits
from lorabay.server.console import console_of, watched
from lorabay.server.engine_options import engine_options, has_rank_over
from lorabay.server.first_steps import first_steps
from lorabay.server.fronts import choose_fronts, join
from lorabay.server.http_protocol import Timeouts
from lorabay.server.http_server import HttpServer
from lorabay.server.limit_keeper import LimitKeeper
from lorabay.server.listener import bind
from lorabay.server.mixtures import mixed_model
from lorabay.server.models import model_checks, model_plan
from lorabay.server.oidc import admin_side, show_age
from lorabay.server.open_files import connections_of, raise_limit
from lorabay.server.replicas import make_ray_engine
from lorabay.server.sources import choose_sources, show_sources
from lorabay.server.store_space import show_space
from lorabay.server.tls import choose_certificate
from lorabay.server.tracing import choose_tracing
from lorabay.server.turns import choose_shares, make_gate
from lorabay.server.uploads import choose_uploads
from lorabay.server.usage import STOP_S, choose_recorder, usage_answers
from lorabay.server.user_options import whole_number, worker_count
from lorabay.server.vllm_engine import make_vllm_engine
from lorabay.serving.adapted import ask_engine
from lorabay.serving.admin import Operations
from lorabay.serving.changes import Changes
from lorabay.serving.engine import CHAT
from lorabay.serving.garbage import put_off
from lorabay.serving.machine_defaults import (
    adapts_experts,
    engine_is_on_cpu,
    scales_outputs,
    set_cpu_environment,
)
from lorabay.serving.manager import AdapterManager, Loading
from lorabay.serving.supervision.supervisor import Patience
from lorabay.settings import service_links

if TYPE_CHECKING:
    from pathlib import Path

    from fastapi import APIRouter, FastAPI
    from pydantic import SecretStr

    from lorabay.accounts.oidc.issuer_keys import IssuerKeys
    from lorabay.api.auth import Gate
    from lorabay.base.find import BaseFolder
    from lorabay.catalog.adapted import Adapted, NotAsked
    from lorabay.reconcile.reconciler import Reconciler
    from lorabay.routing.router import Router
    from lorabay.server.accounts import Accounts
    from lorabay.server.tls import Certificate
    from lorabay.serving.admin import NameChanges
    from lorabay.serving.engine import Call, Engine
    from lorabay.serving.turns.turn_gate import TurnGate
    from lorabay.settings import Settings

logger = structlog.get_logger(__name__)

STEPS = 5
"""Steps of a start that a terminal sees, from the base on."""

TERMINATE_AGAIN_S = 0.5
"""How often a starting engine's processes are ended, until its start has given up."""

TRACES_STOP_S = 2.0
"""How long the end of a server waits for the collector of its traces."""

Result = TypeVar("Result")

AskEngine = Callable[["Path", Mapping[str, Any], BaseShapes], "Adapted | NotAsked"]
"""A function that says which modules an engine with these options adapts of a base in a folder."""

MakeEngine = Callable[["BaseFolder", Mapping[str, Any]], "Engine"]
"""A function that makes the engine for a base and vLLM's options."""


def serve(settings: Settings) -> None:
    """Run a server until SIGTERM or SIGINT.

    Raises LorabayError when it cannot start or its engine fails to.
    """
    configure_logging(settings.log_format, settings.log_level)
    quiet_engine(os.environ, settings.log_level)
    keys = Keyring(secret_of(settings.api_key), settings.api_key_file)
    admin_keys = Keyring(secret_of(settings.admin_key), settings.admin_key_file)
    admin_gate, issuer_keys = admin_side(settings, admin_keys)
    certificate = choose_certificate(settings.tls_cert, settings.tls_key)

    if links := service_links(os.environ):
        logger.info("variables of a service named like this program are ignored", names=links)
    with open_accounts(settings) as accounts:
        if accounts is None and settings.redis is not None:
            raise SetupError(
                "--redis counts what keys in a database may use, and there is none: make one "
                "with `lorabay keys create`, or leave --redis out"
            )
        gate = choose_gate(keys, settings.host, None if accounts is None else accounts.keys)
        with bind(settings.host, settings.port) as listener:
            if isinstance(gate, OpenGate):
                logger.warning("no API key: only this machine can call", host=settings.host)
            url = _url_of(listener, secure=certificate is not None)
            logger.info("listening", url=url)
            ahead = Ahead.begin(settings.base, cache_folder())
            server = Server(
                settings,
                gate,
                admin_gate,
                keyrings=(keys, admin_keys),
                issuer_keys=issuer_keys,
                certificate=certificate,
                accounts=accounts,
                ask_engine=ahead.ask_engine,
                ahead=ahead,
            )
            has_key = not isinstance(gate, OpenGate)
            server.when_ready = partial(_show_first_steps, server, settings, url, has_key=has_key)
            try:
                server.run(listener)
            finally:
                ahead.leave()


def secret_of(setting: SecretStr | None) -> str | None:
    """Return the text of a secret setting, if it is given."""
    return None if setting is None else setting.get_secret_value()


def _url_of(listener: socket.socket, *, secure: bool) -> str:
    host, port = listener.getsockname()[:2]
    url_host = f"[{host}]" if ":" in host else host
    return f"{'https' if secure else 'http'}://{url_host}:{port}"


def _show_first_steps(server: Server, settings: Settings, url: str, *, has_key: bool) -> None:
    """Tell whoever reads a console what to try; programs that read the log are not told."""
    if settings.log_format != "console" or settings.log_level not in ("debug", "info"):
        return

    assert server.reconciler is not None  # noqa: S101
    adapters = [
        status.name for status in server.reconciler.registry.snapshot() if status.live is not None
    ]
    steps = first_steps(
        url,
        base=server.base_name,
        adapters=adapters,
        has_key=has_key,
        generates=server.answers(CHAT),
    )
    sys.stderr.write(f"\n{steps}\n")


class Server:
    """One server, from its first answer on `/health` to the end of its engine."""

    def __init__(
        self,
        settings: Settings,
        gate: Gate,
        admin_gate: Gate,
        *,
        keyrings: tuple[Keyring, ...] = (),
        issuer_keys: IssuerKeys | None = None,
        certificate: Certificate | None = None,
        accounts: Accounts | None = None,
        make_engine: MakeEngine | None = None,
        make_model_engine: MakeEngine | None = None,
        engine_scales: Callable[..., bool] = scales_outputs,
        ask_engine: AskEngine = ask_engine,
        ahead: Ahead | None = None,
    ) -> None:
        self._settings = settings
        self._gate = gate
        self._admin_gate = admin_gate
        self._keyrings = keyrings
        self._issuer_keys = issuer_keys
        self._accounts = accounts
        self._metrics = Metrics(CollectorRegistry(), own_histograms=settings.metrics_adapters)
        self._sources = choose_sources(settings)
        show_sources(self._sources, self._metrics)
        self._tracing = choose_tracing(settings, self._metrics)
        self._usage = choose_recorder(settings, accounts, self._metrics)
        self._shares = choose_shares(settings)
        self._ring = Ring()
        self._fronts = choose_fronts(settings, accounts, self._metrics)
        make_vllm = partial(
            make_vllm_engine,
            settings=settings,
            metrics=self._metrics,
            traced=self._tracing.is_on,
            pids=set(),
        )
        on_ray = partial(make_ray_engine, settings=settings, is_shared=self._has_others)
        self._make_engine = make_engine or (on_ray if settings.ray_replicas else make_vllm)
        self._make_model_engine = make_model_engine or partial(make_vllm, adapters=False)
        self._engine_scales = engine_scales
        self._ask_engine = ask_engine
        self._ahead = ahead
        self.reconciler: Reconciler | None = None
        """The adapters' side; None until the base is found."""
        self.base_name = ""
        """What requests call the base; empty until it is found."""
        self.when_ready: Callable[[], None] = lambda: None
        """Called once, when the start is over and has not failed."""
        self._manager: AdapterManager | None = None
        self._router: Router | None = None
        self._telling: asyncio.Task[None] | None = None
        self._limits: LimitKeeper | None = None
        if accounts is not None:
            self._metrics.database_age.set_function(lambda: accounts.keys.age_s)
            self._limits = LimitKeeper(
                accounts.database, self._metrics, redis=secret_of(settings.redis)
            )
        self._auditor = None if accounts is None else Auditor(accounts.database, self._metrics)
        if issuer_keys is not None:
            show_age(settings, issuer_keys, self._metrics)
        self.failure: BaseException | None = None
        """Why the start has failed, if it has."""

        hosts = choose_hosts(settings.allowed_hosts, with_key=not isinstance(gate, OpenGate))
        self._front = front_of(hosts, cors_origins=settings.cors_origins)
        self.app = StartingApp(self._front)
        """What answers requests; only `/health` until the base is found."""
        self._http = HttpServer(
            self.app,
            timeouts=Timeouts(settings.receive_timeout_s, settings.send_timeout_s),
            max_connections=connections_of(raise_limit(), settings.max_connections),
            keep_alive_s=settings.keep_alive_s,
            drain_s=settings.drain_s,
            grace_s=settings.grace_s,
            certificate=certificate,
            ended=lambda reason: self._metrics.connections_ended.labels(reason).inc(),
        )
        self._metrics.connections.set_function(lambda: self._http.connections)

    def run(self, listener: socket.socket) -> None:
        """Serve on a listening socket until a signal or a failed start.

        Running requests get `grace_s` seconds. Raises the failure of the start, or
        KeyboardInterrupt.
        """
        # uvicorn handles signals while it serves, and raises each again when it is done: with a
        # handler of our own, SIGTERM then ends in exit code 0.
        signal.signal(signal.SIGTERM, lambda *_: self._end())
        with asyncio.Runner(loop_factory=self._http.config.get_loop_factory()) as runner:
            runner.run(self._serve(listener))

    def answers(self, call: Call) -> bool:
        """Return whether the engine answers a call; false until there is one."""
        if self._manager is None:
            return False

        try:
            self._manager.engine.check_call(call)
        except CallNotServed:
            return False
        return True

    def _end(self) -> None:
        self._http.should_exit = True

    async def _serve(self, listener: socket.socket) -> None:
        async with self.running():
            await self._http.serve(sockets=[listener])
            # A SIGINT that uvicorn raises again cancels this task where it awaits next, which must
            # not be while the engine is being stopped.
            await asyncio.sleep(0)

        if self.failure is not None:
            raise self.failure

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Bring up everything behind HTTP, and end it after the block, which answers requests.

        The block begins at once; the start goes on beside it. See `failure`.
        """
        start = asyncio.create_task(self._start())
        start.add_done_callback(self._started)
        following = [asyncio.create_task(keys.follow()) for keys in self._keyrings]
        if self._issuer_keys is not None:
            following.append(asyncio.create_task(self._issuer_keys.follow()))
        if self._accounts is not None:
            following.append(asyncio.create_task(self._accounts.keys.follow()))
        if self._limits is not None:
            following.append(asyncio.create_task(self._limits.run()))
        following.append(asyncio.create_task(turn_on(self._ring)))
        try:
            yield
        finally:
            for task in following:
                task.cancel()
            await self._stop(start)
            if self._telling is not None:
                self._telling.cancel()
            if self._fronts is not None:
                await self._fronts.leave()
            await self._sources.stop()
            if self._limits is not None:
                await self._limits.close()
            # Last: what is cut off is recorded, too.
            await asyncio.to_thread(self._usage.stop, STOP_S)
            await asyncio.to_thread(self._tracing.stop, TRACES_STOP_S)
            if self._auditor is not None:
                await asyncio.to_thread(self._auditor.end)

    async def _start(self) -> None:
        """Bring up everything behind HTTP, step by step."""
        settings = self._settings
        base = await _run_abandonable(partial(_find_base, settings, self._ahead))
        self.base_name = served_names(settings.engine, base)[0]

        logger.info(
            "starting", base=self.base_name, takes="half a minute; a minute at the first start here"
        )
        with put_off(), progress_bar(STEPS, "look at the base and its adapters") as advance:
            await self._start_engine(base, lambda text: advance(text, 1))

    async def _start_engine(self, base: BaseFolder, step: Callable[[str], None]) -> None:
        """Bring up everything behind the base; `step` tells what comes next."""
        settings = self._settings
        if self._ahead is not None:
            await _run_abandonable(self._ahead.wait_for_imports)

        # First of all that knows the adapter directory: an empty mirror is filled here.
        await self._sources.begin()
        if self._fronts is not None:
            await self._fronts.begin(self.base_name)

        # Opening the store waits for other servers' locks, and the adapter directory's file system
        # may not answer; asking whether the engine scales outputs imports vLLM.
        build = await _run_abandonable(partial(self._prepare_reconciler, base))
        reconciler = await _run_abandonable(build)
        self.reconciler = reconciler

        self._router = await _run_abandonable(partial(read_router, settings.router, base.path))

        step("read the adapters")
        # Before there is an engine: what the adapters need decides how it is started.
        await reconciler.read_directory()

        step("choose the engine's options")
        # Set before the engine is made, because vLLM reads them then.
        set_cpu_environment(
            os.environ,
            kv_cache_gib=settings.cpu_kv_cache_gib,
            threads=settings.cpu_threads,
            workers=worker_count(settings.engine),
        )
        options = await _run_abandonable(partial(engine_options, settings, reconciler))
        reconciler = await _limited(reconciler, build, whole_number(options, "max_lora_rank"))
        ingest = reconciler.ingest
        ingest.leave_out(left_out(ingest.base, options, settings.engine))
        self.reconciler = reconciler
        if self._auditor is not None:
            # Not before: what the adapter directory holds at the start was nobody's deed.
            self._auditor.begin()
            reconciler.events.told = self._auditor.note
        loading = Loading(
            # The last of vLLM's places is kept for swaps; see `Residency`.
            capacity=(whole_number(options, "max_cpu_loras") - 1) * max(1, settings.ray_replicas),
            preload=whole_number(options, "max_loras"),
            timeout_s=settings.load_timeout_s,
            concurrent=settings.concurrent_loads,
        )

        step("load vLLM")
        engine = await asyncio.to_thread(self._make_engine, base, options)

        patience = Patience(hang_s=settings.engine_hang_s, failed_restarts=settings.failed_restarts)
        plan = model_plan(settings, options, self._metrics, self._make_model_engine)
        manager = AdapterManager(
            engine, reconciler, self._metrics, loading, models=plan, patience=patience
        )
        # Kept before the engine is started: from here on `_stop` has something to stop.
        self._manager = manager
        turns = make_gate(
            settings,
            options,
            manager.engine,
            self._metrics,
            others=lambda: manager.models.waiting,
        )
        if engine_is_on_cpu():
            # Whoever reads a folder has the cores on which tokens are computed.
            reconciler.ingest.give_way(lambda: turns.running > 0)
        operations = Operations(manager, reconciler, self._sources)
        changes = self._share(manager, reconciler, operations)
        self.app.hand_over(self._create_app(base, manager, reconciler, turns, operations, changes))

        step("start the engine, and load adapters into it")
        await manager.start(self._fronts)
        step("ready")

    def _prepare_reconciler(self, base: BaseFolder) -> Callable[..., Reconciler]:
        """Return a function that builds the adapters' side, given the engine's rank limit."""
        settings = self._settings
        files = BaseFiles.open(base.path)
        stored = BaseShapes.of(files, names=served_names(settings.engine, base))
        shapes = with_hidden_shapes(files, stored)

        store = Store.open(settings.store)
        show_space(settings.store, self._metrics)

        return partial(
            build_reconciler,
            settings,
            store,
            shapes,
            self._metrics,
            BaseWeights.of(files),
            # Asked before there is an engine: adapters, which it decides on, decide its options.
            adapted=self._ask_engine(base.path, settings.engine, shapes),
            # DoRA is served by scaling outputs.
            scales_outputs=self._engine_scales(os.environ, settings.engine, dora=settings.dora),
            tokenizer=BaseTokenizer(base.path),
            adapts_experts=adapts_experts(),
            models=model_checks(settings),
            keeps_names=None if self._fronts is None else lambda: self._keeps_names,
        )

    @property
    def _keeps_names(self) -> bool:
        return self._fronts is None or self._fronts.keeps_names

    def _has_others(self) -> bool:
        """Return whether other servers use the same engines."""
        return self._fronts is not None and self._fronts.has_others

    def _create_app(
        self,
        base: BaseFolder,
        manager: AdapterManager,
        reconciler: Reconciler,
        turns: TurnGate,
        operations: Operations,
        changes: NameChanges,
    ) -> FastAPI:
        parts = self._parts(manager, reconciler, turns)
        routers = self._routers(manager, reconciler, operations, changes)
        app = create_app(
            parts,
            self._gate,
            # Only the served ones: the base also answers to names that are not listed.
            base_names=served_names(self._settings.engine, base),
            max_body_bytes=self._settings.max_body_bytes,
            limits=request_limits(self._settings),
            stream_comment_s=self._settings.stream_comment_s,
            declared_set_loaded=lambda: manager.declared_set_loaded,
            draining=lambda: self._http.draining,
            middleware=self._front,
            check_health=manager.engine.check_health,
            routers=routers(self._admin_gate),
        )
        if self._settings.console:
            console = console_of(
                self._admin_gate,
                routers,
                parts,
                base_names=served_names(self._settings.engine, base),
                max_body_bytes=self._settings.max_body_bytes,
                limits=request_limits(self._settings),
                stream_comment_s=self._settings.stream_comment_s,
            )
            app.router.routes.extend(console)
        return app

    def _share(
        self, manager: AdapterManager, reconciler: Reconciler, operations: Operations
    ) -> NameChanges:
        """Return what makes administrators' changes; from here on names are shared, if they are."""
        if self._fronts is None:
            return operations
        changes, answers = join(self._fronts, manager, reconciler, operations)
        self._telling = asyncio.create_task(answers.run())
        return changes

    def _parts(self, manager: AdapterManager, reconciler: Reconciler, turns: TurnGate) -> Parts:
        """Return the parts that answer requests."""
        limits = self._limits
        meanings = OwnMeanings() if self._fronts is None else self._fronts.unsettled
        return Parts(
            manager.engine,
            reconciler.registry,
            manager,
            turns,
            self._metrics,
            usage=LiveRecorder(self._usage, self._ring),
            allowances=Allowances() if limits is None else limits.allowances,
            tracer=self._tracing.tracer,
            shares=self._shares,
            models=manager.models,
            rollouts=manager.rollouts,
            mixtures=mixed_model(self._settings, reconciler, meanings),
            auto=auto_model(self._router, reconciler.registry, manager, base_name=self.base_name),
            names=meanings,
        )

    def _routers(
        self,
        manager: AdapterManager,
        reconciler: Reconciler,
        operations: Operations,
        name_changes: NameChanges,
    ) -> Callable[[Gate], list[APIRouter]]:
        """Return a function that makes the paths of administrators, behind the gate it is given."""
        live = watched(self._ring, self._metrics, manager, operations, lambda: self._http.draining)
        uploads = choose_uploads(self._settings, operations, name_changes)
        ingest = reconciler.ingest
        assert ingest.base_weights is not None  # noqa: S101
        changes = Changes(ingest.base, ingest.base_weights)
        usage = None
        if self._accounts is not None:
            usage = usage_answers(self._settings, self._accounts.database, self._usage)

        def routers(gate: Gate) -> list[APIRouter]:
            made = [
                admin_router(operations, gate, name_changes),
                rollouts_router(operations, gate, name_changes),
                changes_router(operations, changes, gate),
                uploads_router(uploads, gate),
                live_router(live, gate),
            ]
            if self._accounts is not None and usage is not None:
                made.append(keys_router(self._accounts.desk, gate, reconciler.registry.names))
                made.append(usage_router(usage, gate))
            if self._limits is not None:
                made.append(limits_router(self._limits.desk, gate))
            if self._auditor is not None:
                made.append(audit_router(self._auditor.answers(), gate))
            return made

        return routers

    def _started(self, start: asyncio.Task[None]) -> None:
        # A start that was cut off because the server is being stopped has not failed.
        if start.cancelled() or self._http.should_exit:
            return

        self.failure = start.exception()
        if self.failure is None:
            logger.info("ready")
            self.when_ready()
        else:
            self._end()

    async def _stop(self, start: asyncio.Task[None]) -> None:
        """End the start if it still goes on, then everything that it has brought up."""
        manager = self._manager
        if manager is not None and self._settings.ray_replicas:
            start.cancel()  # replicas are no children of this process; the engine's end ends them
        while manager is not None and not manager.engine.up and not start.done():
            # The engine is started in a thread, which cannot be cancelled: without its processes it
            # ends at once. They may not have begun yet, so this is done again.
            _terminate_children()
            await asyncio.wait({start}, timeout=TERMINATE_AGAIN_S)

        start.cancel()
        await asyncio.wait({start})
        if manager is None:
            return

        if not manager.engine.up:
            _terminate_children()  # the engine is coming up again after a death
        if self._fronts is not None:
            await self._fronts.know_others()
        await manager.stop()


async def _limited(
    reconciler: Reconciler, build: Callable[..., Reconciler], limit: int
) -> Reconciler:
    """Return the adapters' side of an engine whose slots take ranks up to `limit`.

    Versions over it are not offered, as after a start with such an option: they are remembered.
    """
    if not await _run_abandonable(partial(has_rank_over, reconciler, limit)):
        reconciler.ingest.limit_rank(limit)
        return reconciler

    await reconciler.stop()
    limited = await _run_abandonable(partial(build, rank_limit=limit))
    await limited.read_directory()
    return limited


def _find_base(settings: Settings, ahead: Ahead | None) -> BaseFolder:
    if settings.base is None:
        prepared = prepare if ahead is None else ahead.prepare
        return find_base(str(prepared(cache_folder())))

    return find_base(settings.base, revision=revision_of(settings.engine))


def _terminate_children() -> None:
    for child in active_children():
        child.terminate()


async def _run_abandonable(work: Callable[[], Result]) -> Result:
    """Do blocking work in a thread that the end of the process does not wait for.

    Downloading or converting a base takes minutes, and a file system that does not answer takes for
    ever; all of it survives a kill at any moment.
    """
    return await DaemonThreads("lorabay-start").begin(work)
