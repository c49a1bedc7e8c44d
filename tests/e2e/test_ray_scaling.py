"""One engine on Ray becomes two and one again, and two are as fast as two servers without Ray.

Runs with `--ray` alone. Two cores tell what is lost and decided, not how fast a cluster is.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.e2e.conftest import ADAPTERS, ADMIN_KEY, API_KEY
from tests.e2e.server import PATIENCE_S, Server

pytestmark = pytest.mark.timeout(1500)

WINDOW = 8
STREAMS = 12
"""More than one engine computes at once."""
TOKENS = 32
IDLE_S = 30
FLAGS = (
    *("--api-key", API_KEY, "--admin-key", ADMIN_KEY, "--grace-s", "60"),
    *("--engine", "dtype=float32", "--engine", "max_model_len=512"),
    *("--engine", f"max_num_seqs={WINDOW}", "--engine", "enforce_eager=true"),
    *("--engine", "max_loras=3", "--engine", "max_cpu_loras=4"),
)


@dataclass(frozen=True)
class Streamed:
    """One stream: seconds to its first event, tokens, and whether it came to its end."""

    first_s: float
    tokens: int
    is_whole: bool


def stream(client: httpx.Client, number: int, tokens: int = TOKENS) -> Streamed:
    """Ask one of the adapters for so many tokens, an event each or more."""
    body = {
        "model": ADAPTERS[number % len(ADAPTERS)],
        "prompt": f"Number {number}",
        "max_tokens": tokens,
        "ignore_eos": True,
        "stream": True,
    }
    began, first_s, lines = time.monotonic(), 0.0, []
    with client.stream("POST", "/v1/completions", json=body) as response:
        for line in response.iter_lines():
            if line.startswith("data:"):
                first_s = first_s or time.monotonic() - began
                lines.append(line)
    is_whole = bool(lines) and lines[-1] == "data: [DONE]" and '"error"' not in "".join(lines)
    return Streamed(first_s, tokens if is_whole else 0, is_whole)


def client(url: str) -> httpx.Client:
    headers = {"authorization": f"Bearer {API_KEY}"}
    return httpx.Client(base_url=url, headers=headers, timeout=PATIENCE_S)


def speed(clients: Sequence[httpx.Client]) -> tuple[float, float]:
    """Tokens a second of two full engines, and the median seconds to a first token of one stream
    alone. Clients take turns.
    """
    for number in range(len(ADAPTERS) * len(clients)):
        stream(clients[number % len(clients)], number, 2)
    alone = [stream(clients[n % len(clients)], n, 2).first_s for n in range(20)]

    rates = []
    for _ in range(3):
        began = time.monotonic()
        with ThreadPoolExecutor(2 * WINDOW) as pool:
            asked = [pool.submit(stream, clients[n % len(clients)], n) for n in range(2 * WINDOW)]
            tokens = sum(one.result().tokens for one in asked)
        rates.append(tokens / (time.monotonic() - began))
    return float(np.median(rates)), float(np.median(alone))


@pytest.fixture(scope="module")
def directly(
    base_folder: Path, adapters: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[float, float]:
    """The speed of two servers without Ray, each with a processor of its own."""
    work = tmp_path_factory.mktemp("direct")
    with ExitStack() as stack:
        clients = []
        for number, cpu in enumerate(sorted(os.sched_getaffinity(0))[:2]):
            arguments = [
                *("--base", str(base_folder), "--adapters", str(adapters)),
                *("--store", str(work / f"store-{number}"), "--cpu-threads", str(cpu), *FLAGS),
            ]
            running = stack.enter_context(Server(arguments, log=work / f"server-{number}.log"))
            running.wait_for("ready")
            clients.append(stack.enter_context(client(running.url)))
        return speed(clients)


@pytest.fixture(scope="module")
def cluster(
    directly: tuple[float, float],
    base_folder: Path,
    adapters: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    """One engine, and a second one while there is much to do; begun when the others have ended."""
    work = tmp_path_factory.mktemp("ray-scaling")
    arguments = [
        *("--base", str(base_folder), "--adapters", str(adapters), "--store", str(work / "store")),
        *("--ray-replicas", "1", "--ray-max-replicas", "2", "--ray-idle-s", str(IDLE_S), *FLAGS),
    ]
    with Server(arguments, log=work / "server.log") as running:
        running.wait_for("ready")
        yield running


@pytest.fixture(scope="module")
def handle(cluster: Server) -> Iterator[Any]:
    """A handle of the replicas, to count them."""
    import ray
    from ray import serve

    ray.init(address="auto", log_to_driver=False)
    made = serve.get_deployment_handle("engine", "lorabay-engines")
    yield made
    made.shutdown()
    ray.shutdown()
    # Serve keeps the handles of one cluster for the next.
    serve.context._set_global_client(None)


def replicas(handle: Any) -> int:
    return len(handle.broadcast("record_routing_stats").results(timeout_s=30))


class Load:
    """Streams, one after the other in each of some threads, until it ends."""

    def __init__(self, url: str, streams: int, tokens: int) -> None:
        self._client = client(url)
        self._tokens = tokens
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(streams)
        self._running = [self._pool.submit(self._drive, number) for number in range(streams)]

    def _drive(self, number: int) -> list[Streamed]:
        done = []
        while not self._stop.is_set():
            done.append(stream(self._client, number, self._tokens))
        return done

    def end(self) -> list[Streamed]:
        """Begin no more streams, and return those that there were."""
        self._stop.set()
        done = [one for running in self._running for one in running.result()]
        self._pool.shutdown()
        self._client.close()
        return done


def test_replicas_come_with_the_load_and_are_as_fast_as_servers(
    cluster: Server, handle: Any, directly: tuple[float, float], figures: list[str]
) -> None:
    """No stream is cut while the second one comes; then both are held against servers of their
    own.
    """
    assert replicas(handle) == 1
    load = Load(cluster.url, STREAMS, TOKENS)
    began = time.monotonic()
    while replicas(handle) < 2:
        assert time.monotonic() - began < 240
        time.sleep(0.5)
    took_s = time.monotonic() - began
    streams = load.end()
    with client(cluster.url) as http:
        rate, first_s = speed([http])

    figures.append(f"ray: from one to two replicas after {took_s:.0f} s of load")
    figures.append(
        f"ray: {rate:.1f} tokens/s, first token {first_s * 1000:.0f} ms; two servers without Ray "
        f"{directly[0]:.1f} tokens/s, {directly[1] * 1000:.0f} ms"
    )
    assert all(one.is_whole for one in streams)


def test_a_replica_goes_without_cutting_a_stream(
    cluster: Server, handle: Any, figures: list[str]
) -> None:
    """A few long streams run on, on both, while one of them is taken away."""
    load = Load(cluster.url, 3, 200)
    began = time.monotonic()
    while replicas(handle) > 1:
        assert time.monotonic() - began < 240
        time.sleep(0.5)
    streams = load.end()
    figures.append(
        f"ray: from two to one after {time.monotonic() - began:.0f} s with less to do "
        f"(--ray-idle-s {IDLE_S}), {len(streams)} streams whole"
    )
    assert streams
    assert all(one.is_whole for one in streams)
