"""The load generator: a fixed number of streams, each asking its next request when its last one has
ended.

The client shares the cores with the engine that it measures. So it stores each read with its time
and looks at nothing until the answer is whole, and it uses aiohttp, whose parser in C costs well
under half of httpx's time for a chunk. One event loop; streams run concurrently, everything else in
order.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp

from lorabay.bench.transcript import Answer, Failure, error_message, read_transcript

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True, slots=True)
class Target:
    """A server to drive: its URL without `/v1`, and the key if it wants one."""

    url: str
    api_key: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        key = {} if self.api_key is None else {"Authorization": f"Bearer {self.api_key}"}
        return {"Content-Type": "application/json"} | key


@dataclass(frozen=True, slots=True)
class Drive:
    """All outcomes of a run, its wall time, and the processor time that this client itself used."""

    outcomes: tuple[Answer | Failure, ...]
    seconds: float
    client_cpu_s: float


async def drive(
    target: Target,
    path: str,
    bodies: Sequence[bytes],
    *,
    concurrency: int,
    output_tokens: int,
    timeout_s: float,
) -> Drive:
    """Send every body, at most `concurrency` at a time. A failed request is an outcome, never an
    exception.
    """
    outcomes: list[Answer | Failure] = []
    queue = iter(bodies)
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        headers=target.headers, timeout=timeout, connector=connector
    ) as session:
        wall, cpu = time.perf_counter(), time.process_time()
        async with asyncio.TaskGroup() as streams:
            for _ in range(concurrency):
                streams.create_task(
                    _stream(session, target.url + path, queue, output_tokens, outcomes)
                )
        return Drive(tuple(outcomes), time.perf_counter() - wall, time.process_time() - cpu)


async def _stream(
    session: aiohttp.ClientSession,
    url: str,
    queue: Iterator[bytes],
    output_tokens: int,
    outcomes: list[Answer | Failure],
) -> None:
    for body in queue:
        outcomes.append(await ask(session, url, body, output_tokens))


async def ask(
    session: aiohttp.ClientSession, url: str, body: bytes, output_tokens: int
) -> Answer | Failure:
    """Send one request and read its stream to the end."""
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
        return Failure(f"HTTP {response.status}{_why(b''.join(data for _, data in reads))}")
    return read_transcript(sent, reads, output_tokens)


def _why(body: bytes) -> str:
    try:
        payload = json.loads(body)
    except ValueError:
        return ""
    return f": {error_message(payload)}" if isinstance(payload, dict) else ""
