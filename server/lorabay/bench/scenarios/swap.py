"""Scenario `swap`: seconds from a version's rename into place to its first answer, on an idle and
on a busy server.

Every round publishes weights that the server has never seen. The bar holds for the idle server. The
busy one also shows the longest pause of its streams while a swap was under way.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import numpy as np

from lorabay.base.shapes import BaseShapes
from lorabay.bench.commands import LORABAY, lorabay_command
from lorabay.bench.load_generator import open_session
from lorabay.bench.report import Fact, Findings, Start
from lorabay.bench.resources import MIB
from lorabay.bench.servers import started
from lorabay.bench.streams import pauses, running_streams
from lorabay.bench.synthetic_adapters import PUBLISHED, Publisher, RandomAdapters
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from lorabay.bench.load_generator import Drive, Target
    from lorabay.bench.progress import Progress
    from lorabay.bench.servers import Launch
    from lorabay.bench.settings import BenchSettings
    from lorabay.bench.workload import Workload

ROUNDS = 10
RANK = 16
SIZE_BYTES = 10_000_000
STREAMS = 8
BAR_S = 1.0
PAUSE_S = 0.5
"""Seconds between swaps of the idle server, so that it is idle again."""
ENGINE = {"max_loras": "4"}
"""Slots for a version that is coming, one that is live, and those whose last answers still run."""
VERSION_HEADER = "x-adapter-version"


@dataclass(frozen=True, slots=True)
class Swap:
    """Clock readings just before the rename and at the end of the new version's first answer."""

    renamed: float
    answered: float

    @property
    def seconds(self) -> float:
        return self.answered - self.renamed


@dataclass(frozen=True, slots=True)
class SwapSeries:
    """Swaps of one half, idle or busy, and how many of the probe's requests failed meanwhile."""

    swaps: tuple[Swap, ...]
    failures: int


def swap(settings: BenchSettings, progress: Progress) -> Findings:
    """Measure swaps of our server, started here over an adapter directory of its own."""
    base = BaseShapes.read(settings.need_base())
    engine = ENGINE | dict(settings.engine)

    with tempfile.TemporaryDirectory(prefix="lorabay-bench-") as folder:
        root = Path(folder)
        publisher = Publisher(root, RandomAdapters.about(base, RANK, SIZE_BYTES), base)
        flags = {"store": str(root / "store")}

        def launch(port: int) -> list[str]:
            return lorabay_command(settings.base, publisher.adapters, engine, port, flags)

        return measure_swaps(launch, publisher, settings, progress)


def measure_swaps(
    launch: Launch, publisher: Publisher, settings: BenchSettings, progress: Progress
) -> Findings:
    """Publish a version, start the server, swap it while idle, swap it under streams."""
    rounds = settings.rounds or ROUNDS
    progress.plan(1 + 2 * rounds)

    progress.step("starting the server")
    numbers = count()
    publisher.publish(publisher.draft(next(numbers)))
    with started(LORABAY, launch, settings) as server:
        # An adapter that is not served would cost a whole timeout.
        server.listing.resolve((PUBLISHED,))
        swapper = Swapper(server.target, publisher, rounds, settings.request_timeout_s, progress)

        idle = asyncio.run(swapper.swap_idle(numbers))
        workload = settings.workload((PUBLISHED,))
        busy, drive = asyncio.run(swapper.swap_busy(numbers, workload))

    facts = (
        Fact("size of the adapter", publisher.kind.size_bytes / MIB, "MiB"),
        *swap_facts("idle", idle, BAR_S),
        *swap_facts(f"{STREAMS} streams", busy),
        *pause_facts(busy, drive),
    )
    run = drive.summed_up(LORABAY, 0, STREAMS)
    return Findings(runs=(run,), starts=(Start(LORABAY, 0, server.start_s),), facts=facts)


@dataclass(frozen=True, slots=True)
class Swapper:
    """One server, the publisher of its versions, and how many of them each half swaps."""

    target: Target
    publisher: Publisher
    rounds: int
    timeout_s: float
    progress: Progress

    async def swap_idle(self, numbers: Iterator[int]) -> SwapSeries:
        """Swap while only the probe asks."""
        swaps: list[Swap] = []
        async with version_probe(self.target, PUBLISHED, self.timeout_s) as probe:
            for number in range(self.rounds):
                self.progress.step(f"idle server, swap {number + 1}")
                await asyncio.sleep(PAUSE_S)
                swaps.append(await self._swap(probe, next(numbers)))
        return SwapSeries(tuple(swaps), probe.failures)

    async def swap_busy(
        self, numbers: Iterator[int], workload: Workload
    ) -> tuple[SwapSeries, Drive]:
        """Swap while streams run; each swap finds them all on the version that it replaces."""
        swaps: list[Swap] = []
        async with (
            running_streams(self.target, workload, STREAMS, self.timeout_s) as streams,
            version_probe(self.target, PUBLISHED, self.timeout_s) as probe,
        ):
            for number in range(self.rounds):
                self.progress.step(f"{STREAMS} streams, swap {number + 1}")
                # Answers that begin now are of the version that the swap replaces.
                await streams.turn_over()
                swaps.append(await self._swap(probe, next(numbers)))
            # Tokens after the last swap, so that pauses without one are known, too.
            await streams.turn_over()
        return SwapSeries(tuple(swaps), probe.failures), streams.drive()

    async def _swap(self, probe: VersionProbe, number: int) -> Swap:
        # In a thread: the streams go on while the version is made.
        draft = await asyncio.to_thread(self.publisher.draft, number)

        renamed = time.perf_counter()
        self.publisher.publish(draft)
        return Swap(renamed, await probe.first_answer_of(draft.version))


@dataclass(slots=True)
class VersionProbe:
    """A connection that asks one adapter for one token, back to back, until a version answers.

    `failures` counts its requests that were not answered with 200.
    """

    session: aiohttp.ClientSession
    url: str
    body: bytes
    timeout_s: float
    failures: int = field(default=0, init=False)

    async def first_answer_of(self, version: str) -> float:
        """Ask until `version` answers and return the clock at the end of that answer.

        Raises SetupError if none comes within the timeout.
        """
        deadline = time.perf_counter() + self.timeout_s
        while time.perf_counter() < deadline:
            try:
                async with self.session.post(self.url, data=self.body) as response:
                    await response.read()
            except (aiohttp.ClientError, TimeoutError):
                self.failures += 1
                continue

            if response.status != 200:
                self.failures += 1
            elif response.headers.get(VERSION_HEADER) == version:
                return time.perf_counter()

        raise SetupError(
            f"bench: version {version} was published and did not answer "
            f"within {self.timeout_s:.0f} s"
        )


@asynccontextmanager
async def version_probe(
    target: Target, model: str, timeout_s: float
) -> AsyncIterator[VersionProbe]:
    """Open a probe of `model` while the block lasts."""
    request = {"model": model, "prompt": "Hello", "max_tokens": 1, "temperature": 0}
    async with open_session(target, timeout_s, connections=1) as session:
        url = target.url + "/v1/completions"
        yield VersionProbe(session, url, json.dumps(request).encode(), timeout_s)


def swap_facts(half: str, swaps: SwapSeries, bar: float | None = None) -> tuple[Fact, ...]:
    """Return median, 99th percentile and maximum of the seconds; the bar is one for every swap.

    No request of the probe may fail.
    """
    seconds = [swap.seconds for swap in swaps.swaps]
    p99 = float(np.percentile(seconds, 99))
    return (
        Fact(f"rename to first new answer, {half}, median", statistics.median(seconds), "s"),
        Fact(f"rename to first new answer, {half}, p99", p99, "s"),
        Fact(f"rename to first new answer, {half}, maximum", max(seconds), "s", bar),
        Fact(f"failed requests of the probe, {half}", swaps.failures, "", bar=0),
    )


def pause_facts(swaps: SwapSeries, drive: Drive) -> tuple[Fact, ...]:
    """Return the streams' pauses between two tokens: those that touch a swap, and the others.

    Raises SetupError if there are none of either kind.
    """
    during: list[float] = []
    between: list[float] = []
    for begin, end in pauses(drive.outcomes):
        touches = any(begin < swap.answered and end > swap.renamed for swap in swaps.swaps)
        (during if touches else between).append((end - begin) * 1_000)

    if not during or not between:
        raise SetupError("bench: the streams gave no tokens during the swaps, or none between them")
    return (
        Fact("between two tokens, no swap, median", statistics.median(between), "ms"),
        Fact("between two tokens, no swap, longest", max(between), "ms"),
        Fact("between two tokens, during a swap, median", statistics.median(during), "ms"),
        Fact("between two tokens, during a swap, longest", max(during), "ms"),
    )
