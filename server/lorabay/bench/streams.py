"""Streams that run beside a measurement: each asks anew when its answer has ended, until the
measurement is over.

One event loop. A stream whose request fails ends; its failure is an outcome like any answer.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp

from lorabay.bench.load_generator import Drive, ask
from lorabay.bench.transcript import Failure
from lorabay.bench.workload import request_bodies

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lorabay.bench.load_generator import Target
    from lorabay.bench.transcript import Answer
    from lorabay.bench.workload import Workload


class Streams:
    """`count` streams of one workload, from `run` until `stop`."""

    def __init__(self, target: Target, workload: Workload, count: int) -> None:
        self._target = target
        self._workload = workload
        self._ended = [asyncio.Event() for _ in range(count)]
        self._outcomes: list[Answer | Failure] = []
        self._stopping = False
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    async def turn_over(self) -> None:
        """Return once every answer that runs now has ended."""
        await asyncio.gather(*(ended.wait() for ended in tuple(self._ended)))

    def stop(self) -> None:
        """Let the answers that run end, and ask no more."""
        self._stopping = True

    async def run(self, number: int, session: aiohttp.ClientSession) -> None:
        """Be stream `number`."""
        seed = number
        while not self._stopping:
            (body,) = request_bodies(self._workload, 1, seed)
            outcome = await ask(
                session, self._target.url + self._workload.path, body, self._workload.output_tokens
            )
            self._outcomes.append(outcome)
            ended, self._ended[number] = self._ended[number], asyncio.Event()
            ended.set()
            if isinstance(outcome, Failure):
                self._ended[number].set()
                return
            seed += len(self._ended)

    def drive(self) -> Drive:
        """What all streams have given until now."""
        seconds, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        return Drive(tuple(self._outcomes), seconds, cpu)


@asynccontextmanager
async def running_streams(
    target: Target, workload: Workload, count: int, timeout_s: float
) -> AsyncIterator[Streams]:
    """Streams that run while the block lasts; when it is left, all their answers have ended."""
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        aiohttp.ClientSession(
            headers=target.headers, timeout=timeout, connector=connector
        ) as session,
        asyncio.TaskGroup() as tasks,
    ):
        streams = Streams(target, workload, count)
        for number in range(count):
            tasks.create_task(streams.run(number, session))
        yield streams
        streams.stop()
