"""Streams that run beside a measurement: each asks anew when its answer has ended, until the
measurement is over.

One event loop. A stream whose request fails ends; its failure is an outcome like any answer.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import TYPE_CHECKING

from lorabay.bench.load_generator import Drive, ask, open_session
from lorabay.bench.transcript import Answer, Failure
from lorabay.bench.workload import request_bodies

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    import aiohttp

    from lorabay.bench.load_generator import Target
    from lorabay.bench.workload import Workload


class Streams:
    """`count` streams of one workload, from `run` until `stop`."""

    def __init__(self, target: Target, workload: Workload, count: int) -> None:
        self._target = target
        self._workload = workload
        # One event a stream, set when the answer that runs now has ended.
        self._ended = [asyncio.Event() for _ in range(count)]
        self._outcomes: list[Answer | Failure] = []
        self._stopping = False
        self._wall = time.perf_counter()
        self._cpu = time.process_time()

    async def turn_over(self) -> None:
        """Wait until every answer that runs now has ended."""
        # A copy: each stream replaces its event when its next answer begins.
        running = tuple(self._ended)
        await asyncio.gather(*(ended.wait() for ended in running))

    def stop(self) -> None:
        """Ask for no more answers; those that run go on to their end."""
        self._stopping = True

    async def run(self, number: int, session: aiohttp.ClientSession) -> None:
        """Run stream `number` until it fails or all are stopped."""
        url = self._target.url + self._workload.path
        seed = number

        while not self._stopping:
            (body,) = request_bodies(self._workload, 1, seed)
            outcome = await ask(session, url, body, self._workload.output_tokens)
            self._outcomes.append(outcome)

            ended, self._ended[number] = self._ended[number], asyncio.Event()
            ended.set()

            if isinstance(outcome, Failure):
                # Nobody must wait for a stream that asks no more.
                self._ended[number].set()
                return
            # Seeds of other streams lie between: no two requests are alike.
            seed += len(self._ended)

    def drive(self) -> Drive:
        """Return the outcomes of all streams until now."""
        seconds = time.perf_counter() - self._wall
        cpu_s = time.process_time() - self._cpu
        return Drive(tuple(self._outcomes), seconds, cpu_s)


@asynccontextmanager
async def running_streams(
    target: Target, workload: Workload, count: int, timeout_s: float
) -> AsyncIterator[Streams]:
    """Run streams while the block lasts; when it is left, all their answers have ended."""
    async with open_session(target, timeout_s) as session, asyncio.TaskGroup() as tasks:
        streams = Streams(target, workload, count)
        for number in range(count):
            tasks.create_task(streams.run(number, session))
        yield streams
        streams.stop()


def pauses(outcomes: Iterable[Answer | Failure]) -> Iterator[tuple[float, float]]:
    """Yield begin and end of every pause between two tokens of one answer."""
    for outcome in outcomes:
        if isinstance(outcome, Answer):
            yield from pairwise(outcome.token_times)
