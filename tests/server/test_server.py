"""The life of a server: what ends its start, and how it ends. A real HTTP server, a fake engine."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shutil
import signal
import socket
import threading
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from opentelemetry import trace
from pydantic import SecretStr

from lorabay.accounts.audit.book import listed, verify
from lorabay.accounts.audit.questions import Question
from lorabay.api.auth import AccountGate, Gate, OpenGate
from lorabay.api.keyring import Keyring
from lorabay.base.find import BaseFolder
from lorabay.catalog.adapted import Adapted
from lorabay.catalog.registry.registry import Registry
from lorabay.catalog.store import Store
from lorabay.catalog.versions import Version
from lorabay.errors import SetupError, UsageError
from lorabay.reconcile.events import Actor
from lorabay.server import engine_options, server, slots
from lorabay.server.accounts import Accounts, open_accounts
from lorabay.server.listener import bind
from lorabay.server.oidc import admin_side
from lorabay.server.server import Server
from lorabay.serving.engine import Answer, AnswerStream, Body
from lorabay.serving.residency import Hooks, Residency
from lorabay.settings import Settings
from lorabay.tracing.destination import TRACES_PROTOCOL
from tests import making
from tests.fake_engine import FakeEngine
from tests.fake_stream import FakeStream
from tests.faulty_disk import FaultyDisk
from tests.fixtures.issuer import AUDIENCE, Issuer
from tests.fixtures.otlp import Collector
from tests.server.directories import changed, directory_of

pytestmark = pytest.mark.usefixtures("own_signals")

PATIENCE_S = 60.0


class Running:
    """A server on a free port: `serve` runs it in this thread, its client runs in another."""

    def __init__(
        self,
        settings: Settings,
        engine: FakeEngine,
        accounts: Accounts | None = None,
        *,
        gate: Gate | None = None,
        admin_gate: Gate | None = None,
        **others: Any,
    ) -> None:
        self.engine = engine
        if gate is None:
            gate = OpenGate() if accounts is None else AccountGate(accounts.keys, Keyring())
        self.server = Server(
            settings,
            gate,
            admin_gate or OpenGate(),
            accounts=accounts,
            **others,
            make_engine=lambda base, options: engine,
            engine_scales=lambda *arguments, **options: False,
            ask_engine=lambda *question: Adapted({}),
        )
        self.listener = bind("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    @property
    def registry(self) -> Registry:
        assert self.server.reconciler is not None
        return self.server.reconciler.registry

    def serve(self, client: Callable[[], object]) -> Future[object]:
        """Serve until the server ends, while `client` talks to it; the client must end it.

        One that fails is waited for by nobody: the server ends, too.
        """

        def talk() -> object:
            try:
                return client()
            except BaseException:
                self.server._end()
                raise

        with ThreadPoolExecutor(1) as pool, self.listener:
            done = pool.submit(talk)
            self.server.run(self.listener)
        return done

    def wait_until(self, code: int, path: str = "/ready") -> None:
        """Poll a path until it answers with a status."""
        pause, deadline = threading.Event(), time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if self.get(path) == code:
                return
            pause.wait(0.02)
        raise AssertionError(f"{path} never answered {code}")

    def wait_for_engine(self, engine: FakeEngine) -> None:
        """Wait until an engine is up that starts beside the first."""
        pause, deadline = threading.Event(), time.monotonic() + PATIENCE_S
        while not engine.up and time.monotonic() < deadline:
            pause.wait(0.02)
        assert engine.up

    def get(self, path: str) -> int | None:
        """The status of an answer; None when nobody listens."""
        try:
            return self.read(path).status_code
        except httpx.TransportError:
            return None

    def read(self, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Get a path of a server that listens."""
        return httpx.get(self.url + path, headers=headers, timeout=PATIENCE_S)

    def ask(self) -> httpx.Response:
        """Ask `finance` for tokens."""
        body = {"model": "finance"}
        return httpx.post(self.url + "/tokenize", json=body, timeout=PATIENCE_S)


def end(signum: int = signal.SIGTERM) -> None:
    os.kill(os.getpid(), signum)


def test_what_a_server_has_traced_reaches_the_collector_before_it_ends(
    settings: Settings, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what ended a moment before."""
    monkeypatch.setattr(trace, "set_tracer_provider", lambda provider: None)
    monkeypatch.setenv(TRACES_PROTOCOL, "http/protobuf")  # put back: the server would set it
    traced = changed(settings, otlp_endpoint=SecretStr(collector.url))
    running = Running(traced, FakeEngine())

    def client() -> int:
        try:
            running.wait_until(200)
            return running.ask().status_code
        finally:
            end()

    assert running.serve(client).result() == 200
    assert [span.name for span in collector.spans()] == ["POST /tokenize"]


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
        models = running.read("/v1/models").json()["data"]
        end()
        return [model["id"] for model in models if model["parent"] is None]

    assert running.serve(client).result() == ["small", "org/small"]


def test_options_that_the_engine_refuses_end_the_server(settings: Settings) -> None:
    """An option that is found wrong behind HTTP is still a usage error."""
    wrong = changed(settings, engine={"max_loras": "many"})
    with pytest.raises(UsageError, match="'max_loras' takes a whole number"):
        Running(wrong, FakeEngine(up=False)).serve(lambda: None)


def test_an_adapter_that_would_make_every_slot_large_is_refused(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was read before the limit was known; the others are served, and it is remembered."""
    monkeypatch.setattr(engine_options, "engine_is_on_cpu", lambda: False)
    monkeypatch.setattr(slots, "device_memory_bytes", lambda: None)
    for name, rank in (("small", 8), ("legal", 256)):
        making.make_adapter(
            Path(settings.adapters[0]) / name,
            config=making.lora_config(r=rank),
            tensors=making.lora_tensors(rank=rank, seed=rank),
        )

    def served(settings: Settings) -> dict[str, str]:
        running = Running(settings, FakeEngine(up=False))

        def client() -> dict[str, str]:
            running.wait_until(200)
            statuses = running.registry.snapshot()
            texts = {status.name: "".join(map(str, status.reasons)) for status in statuses}
            end()
            return texts

        return running.serve(client).result()  # type: ignore[return-value]

    first = served(settings)
    assert (first["finance"], first["small"]) == ("", "")
    assert "start with --engine max_lora_rank=256" in first["legal"]
    assert served(settings) == first
    assert set(served(changed(settings, outlier_rank=256)).values()) == {""}


def test_the_server_answers_before_the_base_is_found(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alive at once; everything else is refused until it is ready, with the code of an engine that
    is not up.
    """
    go = threading.Event()
    find_base = server.find_base

    def find_slowly(base: str, *, revision: str | None) -> BaseFolder:
        go.wait(PATIENCE_S)
        return find_base(base, revision=revision)

    monkeypatch.setattr(server, "find_base", find_slowly)
    running = Running(settings, FakeEngine(up=False))

    def client() -> list[tuple[int, str]]:
        running.wait_until(200, "/health")
        refusals = [running.read(path) for path in ("/ready", "/v1/models", "/no/such/path")]
        refusals.append(running.ask())
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

    def hang(base: str, *, revision: str | None) -> BaseFolder:
        never.wait(3 * PATIENCE_S)
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


def test_sigterm_while_the_adapter_directory_hangs_is_a_clean_end(
    settings: Settings, disk: FaultyDisk
) -> None:
    """A file system that does not answer keeps neither the server nor its process."""
    running = Running(settings, FakeEngine(up=False))
    disk.hang(Path(settings.adapters[0]))

    def client() -> None:
        running.wait_until(200, "/health")
        assert disk.hit.wait(PATIENCE_S)
        end()

    began = time.monotonic()
    running.serve(client).result()
    assert time.monotonic() - began < PATIENCE_S


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
            running.ask().status_code,
        ]
        go.set()
        running.wait_until(200)
        seen.append(running.ask().status_code)
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


def test_sigterm_while_replicas_on_ray_come_up_is_a_clean_end(settings: Settings) -> None:
    """No process of this host is theirs: a deployment that waits for a machine is given up."""

    began = threading.Event()

    class Deploying(FakeEngine):
        given_up = False

        async def start(self) -> None:
            began.set()
            await asyncio.Event().wait()

        async def stop(self) -> None:
            self.given_up = True

    engine = Deploying(up=False)
    running = Running(changed(settings, ray_replicas=2), engine)

    def client() -> None:
        began.wait(PATIENCE_S)
        end()

    running.serve(client).result()
    assert engine.given_up


class Silent(FakeEngine):
    """An engine that gives no sign of life while `hangs`, and comes back `may_start` times."""

    hangs = False
    may_start = 2

    def __init__(self) -> None:
        super().__init__(up=False)
        self.rebuilt = threading.Event()

    async def start(self) -> None:
        self.may_start -= 1
        if self.may_start < 0:
            raise SetupError("no memory")
        if self.may_start == 0:
            self.rebuilt.set()
        self.dead.clear()
        self.hangs = False
        self.up = True

    async def beat(self) -> None:
        while self.hangs:
            await asyncio.sleep(0.01)

    async def kill(self) -> None:
        self.up = False
        self.dead.set()


def test_an_engine_that_hangs_is_rebuilt_as_soon_as_the_settings_say(settings: Settings) -> None:
    """When it cannot be rebuilt as often as they say, the server is neither ready nor healthy."""
    engine = Silent()
    running = Running(changed(settings, engine_hang_s=1.0, failed_restarts=1), engine)

    def client() -> None:
        running.wait_until(200)
        engine.hangs = True
        assert engine.rebuilt.wait(PATIENCE_S)
        running.wait_until(200)
        assert running.get("/health") == 200

        engine.hangs = True
        running.wait_until(503)
        running.wait_until(503, "/health")
        end()

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
                "POST", running.url + "/tokenize", json={"model": "finance"}, timeout=PATIENCE_S
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


def test_a_request_that_is_cut_off_before_its_answer_is_503(settings: Settings) -> None:
    """A restart is no bug: the client may ask again, elsewhere or later."""
    running = Running(changed(settings, grace_s=0), FakeEngine())
    asked = threading.Event()

    async def reply(body: Body) -> Answer | AnswerStream:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    running.engine.reply = reply

    def client() -> tuple[int, str]:
        running.wait_until(200)
        threading.Thread(target=lambda: (asked.wait(PATIENCE_S), end())).start()
        answer = running.ask()
        return answer.status_code, answer.json()["error"]["code"]

    assert running.serve(client).result() == (503, "engine_unavailable")


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


def deaf_client(running: Running, model: str) -> socket.socket:
    """Ask for a stream, with a small window, and never read."""
    body = f'{{"model": "{model}"}}'.encode()
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(running.listener.getsockname())
    client.sendall(
        b"POST /tokenize HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    return client


def leases(running: Running) -> int:
    return sum(len(status.leases) for status in running.registry.snapshot())


@pytest.mark.parametrize(
    ("pieces", "send_timeout_s"), [(8, 1000.0), (1_000_000, 0.2)], ids=["short", "endless"]
)
def test_a_client_that_does_not_read_holds_no_adapter(
    settings: Settings, pieces: int, send_timeout_s: float
) -> None:
    """A stream that fits into the buffers gives its lease back when it is made; one that does not
    fit is ended after a time.
    """
    running = Running(changed(settings, send_timeout_s=send_timeout_s), FakeEngine())
    closed = threading.Event()

    async def events() -> AsyncGenerator[bytes, None]:
        for _ in range(pieces):
            yield b"data: %s\n\n" % (b"x" * 100_000)
            await asyncio.sleep(0)

    class Stream(FakeStream):
        async def aclose(self) -> None:
            await super().aclose()
            closed.set()

    async def reply(body: Body) -> Answer | AnswerStream:
        return Stream(events())

    running.engine.reply = reply

    def client() -> bool:
        running.wait_until(200)
        with deaf_client(running, "finance"):
            ended = closed.wait(PATIENCE_S)
        end()
        return ended

    assert running.serve(client).result()
    assert leases(running) == 0


def test_only_loopback_names_reach_a_server_without_a_key(settings: Settings) -> None:
    """A page whose name leads here is refused, from the first moment on; an operator may allow
    it.
    """
    for allowed, expected in (((), 421), (("bay.example",), 200)):
        running = Running(changed(settings, allowed_hosts=allowed), FakeEngine())

        def client(running: Running = running) -> list[int]:
            headers = {"host": "bay.example"}
            running.wait_until(200, "/health")
            codes = [running.read("/health", headers).status_code]
            running.wait_until(200)
            codes.append(running.read("/v1/models", headers).status_code)
            end()
            return codes

        assert running.serve(client).result() == [expected, expected]


def test_connections_are_counted(settings: Settings) -> None:
    """Those that are open, and those that the server ended, with the reason."""
    running = Running(changed(settings, max_connections=3), FakeEngine())

    def client() -> str:
        running.wait_until(200)
        idle = [socket.create_connection(running.listener.getsockname()) for _ in range(10)]
        page = running.read("/metrics").text
        for connection in idle:
            connection.close()
        end()
        return page

    page = running.serve(client).result()
    assert "\nlorabay_connections 3.0\n" in page
    assert re.search(r'lorabay_connections_ended_total\{reason="crowded_out"\} [89]\.0\n', page)


def test_a_server_drains_before_it_ends(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After SIGTERM it is not ready, answers as before, and ends when its time is over."""
    now = [0.0]
    clock = SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr("lorabay.server.http_server.time", clock)
    running = Running(changed(settings, drain_s=1000.0), FakeEngine())

    def client() -> list[int | None]:
        running.wait_until(200)
        end()
        running.wait_until(503)
        answer = running.ask()
        seen = [answer.status_code, running.get("/health")]
        now[0] = 1000.0
        return seen

    assert running.serve(client).result() == [200, 200]
    assert not running.engine.up


def test_who_did_what_to_a_server_is_in_its_audit(
    settings: Settings, sqlite_url: str, issuer: Issuer, tmp_path: Path
) -> None:
    """From its start to its end: the adapter directory, and an administrator with a token."""
    guarded = changed(
        settings,
        database=sqlite_url,
        oidc_issuer=issuer.url,
        oidc_audience=AUDIENCE,
        oidc_roles={"board": "owner", "staff": "viewer"},
    )
    admin_gate, issuer_keys = admin_side(guarded, Keyring())
    with open_accounts(guarded) as accounts:
        assert accounts is not None
        running = Running(
            guarded, FakeEngine(), accounts, admin_gate=admin_gate, issuer_keys=issuer_keys
        )

        def call(method: str, path: str, group: str = "board") -> httpx.Response:
            headers = {"authorization": f"Bearer {issuer.token(groups=[group])}"}
            return httpx.request(method, running.url + path, headers=headers, timeout=PATIENCE_S)

        def client() -> tuple[list[int], str]:
            try:
                running.wait_until(200)
                statuses = [call("POST", "/admin/adapters/finance/pin", "staff").status_code]
                statuses += [call("POST", "/admin/adapters/finance/pin").status_code]
                making.make_adapter(tmp_path / "adapters" / "shop")
                pause, shown = threading.Event(), [""]
                while shown[0] != "adapter.added":
                    pause.wait(0.02)
                    rows = call("GET", "/admin/audit").json()["rows"]
                    shown = [row["action"] for row in rows]
                assert shown[1:] == ["adapter.pinned", "server.start"]
                return statuses, running.read("/metrics").text
            finally:
                end()

        statuses, page = running.serve(client).result()
        assert statuses == [403, 200]
        age = re.search(rf'\nlorabay_issuer_keys_age_seconds{{issuer="{issuer.url}"}} (.*)\n', page)
        assert age is not None
        assert 0 <= float(age[1]) < PATIENCE_S
        assert "\nlorabay_audit_lost_total 0.0\n" in page

        rows = accounts.database.read(partial(listed, question=Question()))
        told = [row.as_dict() for row in reversed(rows)]
        done = [(row["who"], row["action"], row["target"]) for row in told]
        assert done == [
            ("server", "server.start", ""),
            ("oidc:ada", "adapter.pinned", "finance"),
            ("folder", "adapter.added", "shop"),
            ("server", "server.stop", ""),
        ]
        assert accounts.database.read(verify).is_whole


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
    await office.changes.admins.roll_back("finance", None, who=Actor("admin"))
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


def test_a_whole_model_is_served_by_an_engine_of_its_own(settings: Settings) -> None:
    """Over HTTP, under its name, while the adapters' engine answers for the rest."""
    making.make_model(Path(settings.adapters[0]) / "bank")
    model = FakeEngine(up=False)
    running = Running(
        changed(settings, max_models=1, model_kv_cache_gib=0.001),
        FakeEngine(),
        make_model_engine=lambda base, options: model,
    )

    def client() -> list[tuple[int, str | None]]:
        try:
            running.wait_until(200)
            running.wait_for_engine(model)
            answers = [
                httpx.post(running.url + "/v1/completions", json={"model": name}, timeout=60)
                for name in ("bank", "finance")
            ]
            return [(one.status_code, one.headers.get("x-adapter")) for one in answers]
        finally:
            end()

    assert running.serve(client).result() == [(200, "bank"), (200, "finance")]
    assert [version.adapter for _, _, version, _ in model.asked if version] == ["bank"]
    assert not model.up
