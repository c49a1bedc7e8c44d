"""The composition root: what a start reads and refuses, and how a server ends. A real HTTP server,
a fake engine.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry

from lorabay import server
from lorabay.api.auth import OpenGate
from lorabay.base.find import BaseFolder
from lorabay.base.shapes import BaseShapes
from lorabay.base.weights import BaseWeights
from lorabay.catalog.registry import Registry
from lorabay.catalog.store import Store
from lorabay.catalog.versions import Version
from lorabay.errors import SetupError, UsageError
from lorabay.files.adapter_folder import SCALES_FILE
from lorabay.metrics import Metrics
from lorabay.server import Server, bind, build_reconciler, engine_options, worker_count
from lorabay.serving.engine import Answer, AnswerStream, Body
from lorabay.serving.reconciler import Reconciler
from lorabay.serving.residency import Hooks, Residency
from lorabay.settings import Settings, load_settings
from tests import making
from tests.fake_engine import FakeEngine
from tests.fake_stream import FakeStream
from tests.versions import BASE_NAMES

PATIENCE_S = 10.0


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return making.make_base(tmp_path_factory.mktemp("bases") / "tiny")


@pytest.fixture
def settings(tmp_path: Path, base: Path) -> Settings:
    making.make_adapter(tmp_path / "adapters" / "finance")
    flags = {
        "base": str(base),
        "adapters": tmp_path / "adapters",
        "store": tmp_path / "store",
        "settle_s": 0,
    }
    return load_settings(flags, environ={})


def changed(settings: Settings, **changes: object) -> Settings:
    return load_settings(settings.model_dump() | changes, environ={})


def directory_of(
    settings: Settings, weights: BaseWeights | None = None, *, store: Store | None = None
) -> Reconciler:
    """The adapters' side of a server, before its first look."""
    shapes = BaseShapes.read(Path(str(settings.base)), names=BASE_NAMES)
    store = store or Store.open(settings.store)
    return build_reconciler(settings, store, shapes, Metrics(CollectorRegistry()), weights)


class Running:
    """A server on a free port: `serve` runs it in this thread, its client runs in another."""

    def __init__(self, settings: Settings, engine: FakeEngine) -> None:
        self.engine = engine
        self.server = Server(
            settings,
            OpenGate(),
            OpenGate(),
            make_engine=lambda base, options: engine,
            engine_scales=lambda *arguments, **options: False,
        )
        self.listener = bind("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    @property
    def registry(self) -> Registry:
        assert self.server.reconciler is not None
        return self.server.reconciler.registry

    def serve(self, client: Callable[[], object]) -> Future[object]:
        """Serve until the server ends, while `client` talks to it; the client must end it."""
        with ThreadPoolExecutor(1) as pool, self.listener:
            done = pool.submit(client)
            self.server.run(self.listener)
        return done

    def wait_until(self, code: int, path: str = "/ready") -> None:
        """Poll a path until it answers with a status."""
        end = threading.Event()
        for _ in range(500):
            if self.get(path) == code:
                return
            end.wait(PATIENCE_S / 500)
        raise AssertionError(f"{path} never answered {code}")

    def get(self, path: str) -> int | None:
        """The status of an answer; None when nobody listens."""
        try:
            return httpx.get(self.url + path, timeout=PATIENCE_S).status_code
        except httpx.TransportError:
            return None


def end(signum: int = signal.SIGTERM) -> None:
    os.kill(os.getpid(), signum)


@pytest.fixture(autouse=True)
def own_signals() -> Iterator[None]:
    """Puts back what a server does with the process's signals."""
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


def test_a_free_port_is_bound() -> None:
    """Port 0 gives a port that can be told to clients."""
    with bind("127.0.0.1", 0) as listener:
        assert listener.getsockname()[1] > 0


def test_a_port_in_use_is_refused_with_its_address() -> None:
    """The message says which address cannot be had, and why."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(SetupError, match=f"127.0.0.1:{port}: Address already in use"):
            bind("127.0.0.1", port)


def test_of_two_starters_on_one_port_the_second_is_refused() -> None:
    """The second starter fails at once, not when the first begins to answer."""
    with bind("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(SetupError, match="Address already in use"):
            bind("127.0.0.1", port)


@pytest.mark.parametrize("host", ["203.0.113.7", "a" * 100, ""])
def test_an_address_that_is_not_ours_is_refused(host: str) -> None:
    """Neither another machine's address nor a senseless one is more than a setup error."""
    with pytest.raises(SetupError, match="cannot listen on"):
        bind(host, 0)


def test_the_adapters_of_the_folder_are_live_before_the_engine_starts(settings: Settings) -> None:
    """The folder is read first, because its adapters decide the engine's options."""
    reconciler = directory_of(settings)
    asyncio.run(reconciler.read_directory())
    assert reconciler.registry.names() == ("finance",)
    options = engine_options(settings, reconciler)
    assert (options["max_loras"], options["max_lora_rank"], options["shutdown_timeout"]) == (
        2,
        16,
        30,
    )


def test_the_users_engine_options_win(settings: Settings) -> None:
    """A given option replaces the one that follows from the host; memory for adapters grows with
    the slots.
    """
    reconciler = directory_of(settings)
    chosen = changed(settings, engine={"max_loras": 20, "max_lora_rank": 64, "dtype": "float32"})
    options = engine_options(chosen, reconciler)
    assert (options["max_loras"], options["max_lora_rank"], options["dtype"]) == (20, 64, "float32")
    assert options["max_cpu_loras"] > 20


@pytest.mark.parametrize("option", ["max_lora_rank", "max_loras", "max_cpu_loras"])
def test_an_engine_option_that_is_no_number_is_a_usage_error(
    settings: Settings, option: str
) -> None:
    """Options that are read before vLLM sees them are refused like those that vLLM refuses."""
    wrong = changed(settings, engine={option: "many"})
    with pytest.raises(UsageError, match=f"'{option}' takes a whole number, not 'many'"):
        engine_options(wrong, directory_of(wrong))


def test_workers_are_counted_over_every_kind_of_parallelism(settings: Settings) -> None:
    """Ranks of one model and its copies alike."""
    assert worker_count({}) == worker_count({"max_loras": 4}) == 1
    assert (
        worker_count(
            {"tensor_parallel_size": 2, "pipeline_parallel_size": 3, "data_parallel_size": "2"}
        )
        == 12
    )
    with pytest.raises(UsageError, match="'tensor_parallel_size' takes a whole number"):
        worker_count({"tensor_parallel_size": "many"})


def test_a_former_dora_version_stays_away_from_an_engine_that_scales_nothing(
    settings: Settings, base: Path
) -> None:
    """It would answer without its factors; a server that scales outputs finds it again."""
    reconciler = directory_of(settings)
    asyncio.run(reconciler.read_directory())
    (version,) = reconciler.declared()
    (version.path / SCALES_FILE).touch()
    names = [status.name for status in directory_of(settings).registry.snapshot() if status.kept]
    assert names == []
    weights = BaseWeights.open(base)
    scaling = directory_of(settings, weights)
    assert [status.name for status in scaling.registry.snapshot() if status.kept] == ["finance"]


def test_adapters_that_do_not_exist_stop_the_start(settings: Settings, tmp_path: Path) -> None:
    """A mistyped folder is told at once, not served as an empty one."""
    reconciler = directory_of(changed(settings, adapters=tmp_path / "nowhere"))
    with pytest.raises(SetupError, match="nowhere"):
        asyncio.run(reconciler.read_directory())


def test_a_broken_adapter_does_not_stop_the_start(settings: Settings) -> None:
    """The others are served; the broken one is marked with its reasons."""
    (settings.adapters / "broken").mkdir()
    (settings.adapters / "broken" / "adapter_config.json").write_text("{")
    reconciler = directory_of(settings)
    asyncio.run(reconciler.read_directory())
    states = {status.name: str(status.state) for status in reconciler.registry.snapshot()}
    assert states == {"finance": "ready", "broken": "rejected"}


@pytest.mark.parametrize("failure", [SetupError("vLLM did not start"), RuntimeError("a bug")])
def test_an_engine_that_does_not_start_ends_the_server(
    settings: Settings, failure: Exception
) -> None:
    """The server ends, and the caller gets the failure of the start, of whatever kind."""

    class Broken(FakeEngine):
        async def start(self) -> None:
            raise failure

    with pytest.raises(type(failure), match=str(failure)):
        Running(settings, Broken(up=False)).serve(lambda: None)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"base": "/no/such/base"}, "the base folder /no/such/base does not exist"),
        ({"adapters": "/no/such/adapters"}, "/no/such/adapters cannot be listed"),
        ({"store": "/proc/store"}, "the store /proc/store cannot be used"),
    ],
)
def test_a_start_that_fails_behind_http_ends_the_server(
    settings: Settings, changes: dict[str, object], reason: str
) -> None:
    """A base, an adapter directory or a store that is not there is one line for the caller."""
    with pytest.raises(SetupError, match=reason):
        Running(changed(settings, **changes), FakeEngine(up=False)).serve(lambda: None)


def test_only_served_names_of_the_base_are_listed(settings: Settings) -> None:
    """The base answers to its folder's name too; clients see the names that it is served under."""
    running = Running(
        changed(settings, engine={"served_model_name": ["small", "org/small"]}),
        FakeEngine(up=False),
    )

    def client() -> list[str]:
        running.wait_until(200)
        models = httpx.get(f"{running.url}/v1/models", timeout=PATIENCE_S).json()["data"]
        end()
        return [model["id"] for model in models if model["parent"] is None]

    assert running.serve(client).result() == ["small", "org/small"]


def test_options_that_the_engine_refuses_end_the_server(settings: Settings) -> None:
    """An option that is found wrong behind HTTP is still a usage error."""
    wrong = changed(settings, engine={"max_loras": "many"})
    with pytest.raises(UsageError, match="'max_loras' takes a whole number"):
        Running(wrong, FakeEngine(up=False)).serve(lambda: None)


def test_the_server_answers_before_the_base_is_found(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alive at once; everything else is refused until it is ready, with the code of an engine that
    is not up.
    """
    go = threading.Event()
    find_base = server.find_base

    def find_slowly(base: str) -> BaseFolder:
        go.wait(PATIENCE_S)
        return find_base(base)

    monkeypatch.setattr(server, "find_base", find_slowly)
    running = Running(settings, FakeEngine(up=False))

    def client() -> list[tuple[int, str]]:
        running.wait_until(200, "/health")
        refusals = [
            httpx.get(running.url + path) for path in ("/ready", "/v1/models", "/no/such/path")
        ]
        refusals.append(httpx.post(running.url + "/tokenize", json={"model": "finance"}))
        assert all(int(refusal.headers["retry-after"]) > 0 for refusal in refusals)
        go.set()
        running.wait_until(200)
        end()
        return [(refusal.status_code, refusal.json()["error"]["code"]) for refusal in refusals]

    assert running.serve(client).result() == [(503, "engine_unavailable")] * 4


def test_sigterm_while_the_base_is_brought_is_a_clean_end(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A download that hangs is not waited for."""
    never = threading.Event()

    def hang(base: str) -> BaseFolder:
        never.wait(10 * PATIENCE_S)
        raise AssertionError

    monkeypatch.setattr(server, "find_base", hang)
    running = Running(settings, FakeEngine(up=False))

    def client() -> None:
        running.wait_until(200, "/health")
        end()

    began = time.monotonic()
    running.serve(client).result()
    assert time.monotonic() - began < PATIENCE_S
    never.set()


def test_the_server_answers_while_the_engine_starts(settings: Settings) -> None:
    """Alive at once, ready only when the engine is up and holds the adapters; requests before get
    503.
    """
    go = threading.Event()

    class Slow(FakeEngine):
        async def start(self) -> None:
            await asyncio.to_thread(go.wait, PATIENCE_S)
            self.up = True

    running = Running(settings, Slow(up=False))

    def client() -> list[int | None]:
        running.wait_until(200, "/health")
        seen = [
            running.get("/ready"),
            httpx.post(running.url + "/tokenize", json={"model": "finance"}).status_code,
        ]
        go.set()
        running.wait_until(200)
        seen.append(httpx.post(running.url + "/tokenize", json={"model": "finance"}).status_code)
        end()
        return seen

    assert running.serve(client).result() == [503, 503, 200]
    assert running.engine.loaded == {running.registry.live("finance")}
    assert not running.engine.up


def test_sigterm_while_the_engine_starts_is_a_clean_end(settings: Settings) -> None:
    """A start that fails because the server is being stopped is no failure."""
    cut_off = threading.Event()

    class Starting(FakeEngine):
        async def start(self) -> None:
            await asyncio.to_thread(cut_off.wait, PATIENCE_S)
            raise SetupError("the engine process was terminated")

    running = Running(settings, Starting(up=False))

    def client() -> None:
        running.wait_until(200, "/health")
        end()
        while running.get("/health") is not None:
            pass
        cut_off.set()

    running.serve(client).result()


def test_sigterm_while_the_first_adapters_load_is_a_clean_end(settings: Settings) -> None:
    """The server does not wait for a load that hangs, and the engine is stopped."""
    loading = threading.Event()

    class Hanging(FakeEngine):
        async def load(self, version: Version) -> None:
            loading.set()
            await asyncio.Event().wait()

    running = Running(settings, Hanging(up=False))

    def client() -> None:
        assert loading.wait(PATIENCE_S)
        assert running.get("/ready") == 503
        end()

    began = time.monotonic()
    running.serve(client).result()
    assert time.monotonic() - began < PATIENCE_S
    assert not running.engine.up


def streaming_until(go_on: threading.Event) -> Callable[[Body], object]:
    async def events() -> AsyncGenerator[bytes, None]:
        yield b"data: first\n\n"
        await asyncio.to_thread(go_on.wait, PATIENCE_S)
        yield b"data: last\n\n"

    async def reply(body: Body) -> Answer | AnswerStream:
        return FakeStream(events())

    return reply


def test_sigterm_lets_running_requests_finish(settings: Settings) -> None:
    """A stream that runs gets its last event, new connections are refused meanwhile, and the end is
    no failure.
    """
    go_on = threading.Event()
    running = Running(settings, FakeEngine())
    running.engine.reply = streaming_until(go_on)  # type: ignore[assignment]

    def client() -> tuple[list[str], int | None]:
        running.wait_until(200)
        with httpx.stream(
            "POST", running.url + "/tokenize", json={"model": "finance"}, timeout=PATIENCE_S
        ) as response:
            lines = (line for line in response.iter_lines() if line)
            seen = [next(lines)]
            end()
            while (status := running.get("/health")) is not None:
                pass
            go_on.set()
            return [*seen, *lines], status

    assert running.serve(client).result() == (["data: first", "data: last"], None)
    assert not running.engine.up


def test_the_grace_time_is_not_exceeded(settings: Settings) -> None:
    """A request that does not end in time is cut off, its lease freed, and the server ends."""
    never = threading.Event()
    running = Running(changed(settings, grace_s=0), FakeEngine())
    running.engine.reply = streaming_until(never)  # type: ignore[assignment]

    def client() -> str:
        running.wait_until(200)
        try:
            with httpx.stream(
                "POST", running.url + "/tokenize", json={"model": "finance"}, timeout=30
            ) as response:
                lines = response.iter_lines()
                first = next(lines)
                end()
                return first + "".join(lines)
        except httpx.RemoteProtocolError:
            return first
        finally:
            never.set()

    assert running.serve(client).result() == "data: first"
    assert running.registry.snapshot()[0].leases == ()


def test_sigint_is_an_interrupt(settings: Settings) -> None:
    """Ctrl-C ends the server as gracefully, and the caller knows that it was interrupted."""
    running = Running(settings, FakeEngine())

    def client() -> None:
        running.wait_until(200)
        end(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        running.serve(client)
    assert not running.engine.up


def test_a_huge_body_is_refused_over_a_real_connection(settings: Settings) -> None:
    """A client that sends 20 MB reads its 413, and the next request on a new connection is
    answered.
    """
    running = Running(settings, FakeEngine())

    def client() -> list[int]:
        running.wait_until(200)
        headers = {"content-type": "application/json"}
        url = running.url + "/tokenize"
        with httpx.Client(timeout=PATIENCE_S, headers=headers) as http:
            codes = [http.post(url, content=b" " * 20_000_000).status_code]
            codes.append(http.post(url, content=(b" " * 1_000_000 for _ in range(20))).status_code)
            codes.append(http.post(url, content=b'{"model": "finance"}').status_code)
        end()
        return codes

    assert running.serve(client).result() == [413, 413, 200]


def test_a_client_that_hangs_up_stops_its_generation(settings: Settings) -> None:
    """Closing the connection in the middle of a stream closes the engine's stream, over a real
    connection.
    """
    running = Running(settings, FakeEngine())
    closed = threading.Event()

    async def events() -> AsyncGenerator[bytes, None]:
        try:
            yield b"data: first\n\n"
            await asyncio.Event().wait()
        finally:
            closed.set()

    async def reply(body: Body) -> Answer | AnswerStream:
        return FakeStream(events())

    running.engine.reply = reply

    def client() -> bool:
        running.wait_until(200)
        with httpx.stream(
            "POST", running.url + "/tokenize", json={"model": "finance"}, timeout=PATIENCE_S
        ) as response:
            next(response.iter_lines())
        stopped = closed.wait(PATIENCE_S)
        end()
        return stopped

    assert running.serve(client).result()
    assert running.registry.snapshot()[0].leases == ()


async def test_a_rollback_outlives_another_server_over_the_same_store(
    settings: Settings, tmp_path: Path
) -> None:
    """Another directory's server that runs and cleans up while this one is stopped leaves it the
    version that it goes back to.
    """
    store = Store.open(settings.store)
    office = directory_of(settings, store=store)
    await office.read_directory()
    office.swaps.engine_is_up(Residency(FakeEngine(), 4, Hooks()))
    before = office.registry.live("finance")

    shutil.rmtree(tmp_path / "adapters" / "finance")
    making.make_adapter(tmp_path / "adapters" / "finance", tensors=making.lora_tensors(seed=1))
    await office.reconcile()
    assert office.registry.live("finance") != before
    await office.changes.roll_back("finance", None, who="test")
    store.close()

    (tmp_path / "others").mkdir()
    other = directory_of(changed(settings, adapters=tmp_path / "others"))
    await other.read_directory()
    later = directory_of(settings)
    await later.read_directory()
    assert later.registry.live("finance") == before


def test_a_server_closes_no_other_librarys_log_handlers(settings: Settings) -> None:
    """uvicorn's own configuration would, and some handlers close standard error with themselves."""

    class Handler(logging.Handler):
        was_closed = False

        def close(self) -> None:
            self.was_closed = True
            super().close()

    other = Handler()
    Running(settings, FakeEngine()).listener.close()
    assert not other.was_closed
    other.close()
