"""The load generator: a fixed number of streams, each of which asks its next request when its last
one has ended.

The client shares the processor with the engine that it measures. So it stores each read with its
time and parses nothing until the answer is whole. It uses aiohttp, whose parser in C costs well
under half of httpx's time a chunk. One event loop; streams run concurrently, the rest in order.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import aiohttp

from lorabay.bench.report import Run
from lorabay.bench.stats import summarise
from lorabay.bench.transcript import Answer, Failure, error_message, read_transcript
from lorabay.bench.workload import Workload, request_bodies

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorabay.bench.settings import BenchSettings
    from lorabay.bench.stats import RunStats

WARM_UP_TOKENS = 4
WARM_UP_SEED = -1


@dataclass(frozen=True, slots=True)
class Target:
    """A server to drive: its URL without `/v1`, and the key if it wants one."""

    url: str
    api_key: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        if self.api_key is not None:
            headers["Authorization"] = f"Bearer {self.api_key}"
        return headers


@dataclass(frozen=True, slots=True)
class Drive:
    """All outcomes of a run, its wall time, and the processor time that this client itself used."""

    outcomes: tuple[Answer | Failure, ...]
    seconds: float
    client_cpu_s: float

    def summed_up(self, side: str, number: int, concurrency: int) -> Run:
        """Return the figures as round `number` of a side."""
        stats = summarise(self.outcomes, self.seconds)
        return Run(side, number, concurrency, stats, self.client_cpu_s)


def measure(
    side: str,
    target: Target,
    workload: Workload,
    concurrency: int,
    number: int,
    settings: BenchSettings,
) -> Run:
    """Measure round `number` of a side at a server that is ready.

    The requests are new to the server, and those of one round are the same for every server.
    """
    count = settings.requests or concurrency
    driven = _drive(target, workload, concurrency, count, number, settings.request_timeout_s)
    return driven.summed_up(side, number, concurrency)


def warm_up(target: Target, workload: Workload, concurrency: int, timeout_s: float) -> RunStats:
    """Ask every model for a few tokens at the coming concurrency; not part of any figure."""
    short = replace(workload, output_tokens=WARM_UP_TOKENS)
    count = max(concurrency, len(workload.models))
    driven = _drive(target, short, concurrency, count, WARM_UP_SEED, timeout_s)
    return summarise(driven.outcomes, driven.seconds)


def _drive(
    target: Target, workload: Workload, concurrency: int, count: int, seed: int, timeout_s: float
) -> Drive:
    # A seed of both numbers: a prompt of one concurrency must not come again at another, where a
    # prefix cache would answer it.
    bodies = request_bodies(workload, count, seed * 1_000_003 + concurrency)
    return asyncio.run(
        drive(
            target,
            workload.path,
            bodies,
            concurrency=concurrency,
            output_tokens=workload.output_tokens,
            timeout_s=timeout_s,
        )
    )


async def drive(
    target: Target,
    path: str,
    bodies: Sequence[bytes],
    *,
    concurrency: int,
    output_tokens: int,
    timeout_s: float,
) -> Drive:
    """Send every body, at most `concurrency` at a time.

    A failed request is an outcome, never an exception. The clocks start once the session is open.
    """
    outcomes: list[Answer | Failure] = []
    # All streams draw from one iterator, so each body is sent once and no stream waits for another.
    queue = iter(bodies)

    async def stream(session: aiohttp.ClientSession) -> None:
        for body in queue:
            outcomes.append(await ask(session, target.url + path, body, output_tokens))

    async with open_session(target, timeout_s) as session:
        wall, cpu = time.perf_counter(), time.process_time()

        async with asyncio.TaskGroup() as streams:
            for _ in range(concurrency):
                streams.create_task(stream(session))

        return Drive(tuple(outcomes), time.perf_counter() - wall, time.process_time() - cpu)


def open_session(target: Target, timeout_s: float, connections: int = 0) -> aiohttp.ClientSession:
    """Return a session with the target's headers and `connections` of them at most; 0: no limit.

    Must be called on a running event loop; the caller closes the session.
    """
    return aiohttp.ClientSession(
        headers=target.headers,
        timeout=aiohttp.ClientTimeout(total=timeout_s),
        connector=aiohttp.TCPConnector(limit=connections),
    )


async def ask(
    session: aiohttp.ClientSession, url: str, body: bytes, output_tokens: int
) -> Answer | Failure:
    """Send one request, read its stream to the end, and only then judge it."""
    reads: list[tuple[float, bytes]] = []
    sent = time.perf_counter()

    try:
        async with session.post(url, data=body) as response:
            async for data in response.content.iter_any():
                reads.append((time.perf_counter(), data))
    except TimeoutError:
        return Failure("timed out")
    except aiohttp.ClientError as error:
        return Failure(type(error).__name__)

    if response.status != 200:
        received = b"".join(data for _, data in reads)
        return Failure(f"HTTP {response.status}{_explanation(received)}")
    return read_transcript(sent, reads, output_tokens)


def _explanation(body: bytes) -> str:
    try:
        payload = json.loads(body)
    except ValueError:
        return ""
    return f": {error_message(payload)}" if isinstance(payload, dict) else ""
