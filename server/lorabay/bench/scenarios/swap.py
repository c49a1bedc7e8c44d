"""Scenario `swap`: seconds from a version's rename into place to its first answer, on an idle and
on a busy server.

Every round publishes weights that the server has never seen. The bar holds for the idle server; the
busy one also tells the longest pause of its streams while a swap was under way.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from dataclasses import dataclass
from itertools import count, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lorabay.base.shapes import BaseShapes
from lorabay.bench.commands import LORABAY, lorabay_command
from lorabay.bench.publisher import NAME, Publisher
from lorabay.bench.report import Fact, Findings, Run, Start
from lorabay.bench.resources import MIB
from lorabay.bench.servers import started
from lorabay.bench.stats import summarise
from lorabay.bench.streams import running_streams
from lorabay.bench.synthetic_adapters import RandomAdapters
from lorabay.bench.transcript import Answer
from lorabay.bench.version_probe import version_probe
from lorabay.bench.workload import Workload
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lorabay.bench.load_generator import Drive, Target
    from lorabay.bench.progress import Progress
    from lorabay.bench.servers import Launch
    from lorabay.bench.settings import BenchSettings
    from lorabay.bench.transcript import Failure
    from lorabay.bench.version_probe import VersionProbe

ROUNDS = 10
RANK = 16
SIZE_BYTES = 10_000_000
STREAMS = 8
BAR_S = 1.0
PAUSE_S = 0.5
"""Between swaps of the idle server, so that it is idle again."""
ENGINE = {"max_loras": "4"}
"""Slots for a version that is coming, one that is live, and those whose last answers still run."""


@dataclass(frozen=True, slots=True)
class Swap:
    """Clock readings just before the rename and at the end of the new version's first answer."""

    renamed: float
    answered: float

    @property
    def seconds(self) -> float:
        return self.answered - self.renamed


@dataclass(frozen=True, slots=True)
class Swaps:
    """The swaps of one part, and how many of the probe's requests failed meanwhile."""

    swaps: tuple[Swap, ...]
    failures: int


def swap(settings: BenchSettings, progress: Progress) -> Findings:
    """Swaps of our server, started here over an adapter directory of its own."""
    base = BaseShapes.read(settings.need_base())
    with tempfile.TemporaryDirectory(prefix="lorabay-bench-") as folder:
        root = Path(folder)
        publisher = Publisher(root, RandomAdapters.about(base, RANK, SIZE_BYTES), base)
        engine = ENGINE | dict(settings.engine)
        flags = {"store": str(root / "store")}
        return measure_swaps(
            lambda port: lorabay_command(settings.base, publisher.adapters, engine, port, flags),
            publisher,
            settings,
            progress,
        )


def measure_swaps(
    launch: Launch, publisher: Publisher, settings: BenchSettings, progress: Progress
) -> Findings:
    """Publish, start the server, swap it idle, swap it busy."""
    rounds = settings.rounds or ROUNDS
    progress.plan(1 + 2 * rounds)
    workload = Workload((NAME,), settings.prompt_tokens, settings.output_tokens, settings.endpoint)
    progress.step("starting the server")
    numbers = count()
    publisher.publish(publisher.draft(next(numbers)))
    with started(LORABAY, launch, settings) as server:
        server.listing.resolve((NAME,))
        part = Part(server.target, publisher, rounds, settings.request_timeout_s, progress)
        idle = asyncio.run(part.swap_idle(numbers))
        busy, drive = asyncio.run(part.swap_busy(numbers, workload))
        start = Start(LORABAY, 0, server.start_s)
    run = Run(LORABAY, 0, STREAMS, summarise(drive.outcomes, drive.seconds), drive.client_cpu_s)
    size = Fact("size of the adapter", publisher.kind.size_bytes / MIB, "MiB")
    facts = (
        size,
        *swap_facts("idle", idle, BAR_S),
        *swap_facts(f"{STREAMS} streams", busy),
        *gap_facts(busy, drive),
    )
    return Findings(runs=(run,), starts=(start,), facts=facts)


@dataclass(frozen=True, slots=True)
class Part:
    """One half of the measurement: a server, what is published to it, how often."""

    target: Target
    publisher: Publisher
    rounds: int
    timeout_s: float
    progress: Progress

    async def swap_idle(self, numbers: Iterator[int]) -> Swaps:
        """Only the probe asks."""
        async with version_probe(self.target, NAME, self.timeout_s) as probe:
            swaps = []
            for number in range(self.rounds):
                self.progress.step(f"idle server, swap {number + 1}")
                await asyncio.sleep(PAUSE_S)
                swaps.append(await self._swap(probe, next(numbers)))
            return Swaps(tuple(swaps), probe.failures)

    async def swap_busy(self, numbers: Iterator[int], workload: Workload) -> tuple[Swaps, Drive]:
        """Streams run beside it; each swap finds them all on the version that it replaces."""
        async with (
            running_streams(self.target, workload, STREAMS, self.timeout_s) as streams,
            version_probe(self.target, NAME, self.timeout_s) as probe,
        ):
            swaps = []
            for number in range(self.rounds):
                self.progress.step(f"{STREAMS} streams, swap {number + 1}")
                await streams.turn_over()
                swaps.append(await self._swap(probe, next(numbers)))
            await streams.turn_over()
        return Swaps(tuple(swaps), probe.failures), streams.drive()

    async def _swap(self, probe: VersionProbe, number: int) -> Swap:
        draft = await asyncio.to_thread(self.publisher.draft, number)
        renamed = time.perf_counter()
        self.publisher.publish(draft)
        return Swap(renamed, await probe.first_answer_of(draft.version))


def swap_facts(part: str, swaps: Swaps, bar: float | None = None) -> tuple[Fact, ...]:
    """Median, 99th percentile and maximum of the seconds; the bar is one for every swap. No request
    may fail.
    """
    seconds = [swap.seconds for swap in swaps.swaps]
    return (
        Fact(f"rename to first new answer, {part}, median", statistics.median(seconds), "s"),
        Fact(f"rename to first new answer, {part}, p99", float(np.percentile(seconds, 99)), "s"),
        Fact(f"rename to first new answer, {part}, maximum", max(seconds), "s", bar),
        Fact(f"failed requests of the probe, {part}", swaps.failures, "", bar=0),
    )


def gap_facts(swaps: Swaps, drive: Drive) -> tuple[Fact, ...]:
    """The streams' pauses between two tokens: those that fall into a swap against the others."""
    during: list[float] = []
    between: list[float] = []
    for begin, end in _gaps(drive.outcomes):
        overlaps = any(begin < swap.answered and end > swap.renamed for swap in swaps.swaps)
        (during if overlaps else between).append(end - begin)
    if not during or not between:
        raise SetupError("bench: the streams gave no tokens during the swaps, or none between them")
    return (
        Fact("between two tokens, no swap, median", statistics.median(between) * 1_000, "ms"),
        Fact("between two tokens, no swap, longest", max(between) * 1_000, "ms"),
        Fact("between two tokens, during a swap, median", statistics.median(during) * 1_000, "ms"),
        Fact("between two tokens, during a swap, longest", max(during) * 1_000, "ms"),
    )


def _gaps(outcomes: Sequence[Answer | Failure]) -> Iterator[tuple[float, float]]:
    for outcome in outcomes:
        if isinstance(outcome, Answer):
            yield from pairwise(outcome.token_times)
