"""Scenario `scrape`: what `/metrics` costs with a thousand adapters, and what a stream feels of it.

Many of the adapters have answered, so that they have series of their own. One stream runs. In each
round nothing else happens for some seconds, then as long again the page is asked for, more often
than Prometheus does and seldom enough that it is made anew each time. Like Prometheus, the client
keeps its connection and takes the page packed.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from lorabay.base.shapes import BaseShapes
from lorabay.bench.commands import LORABAY, lorabay_command
from lorabay.bench.load_generator import measure
from lorabay.bench.report import Fact, Findings, Start
from lorabay.bench.resources import MIB
from lorabay.bench.servers import started
from lorabay.bench.streams import pauses, running_streams
from lorabay.bench.synthetic_adapters import RandomAdapters, draw_names
from lorabay.bench.workload import Workload
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from lorabay.bench.load_generator import Target
    from lorabay.bench.progress import Progress
    from lorabay.bench.servers import Launch, ReadyServer
    from lorabay.bench.settings import BenchSettings
    from lorabay.bench.transcript import Answer, Failure

ROUNDS = 5
SIZE_BYTES = 100_000
RANK = 8
ENGINE = {"max_loras": "8"}
REQUESTS, REQUEST_STREAMS, REQUEST_TOKENS = 300, 4, 2
STREAM_TOKENS = 256
WINDOW_S = 6.0
EVERY_S = 1.1
SCRAPE_BAR_MS = 100.0
PAUSE_BAR = 2.0


@dataclass(frozen=True, slots=True)
class Scrape:
    """One reading of the page."""

    seconds: float
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Window:
    """A time of the clock in which a stream was observed."""

    begin: float
    end: float

    def longest_pause(self, outcomes: Sequence[Answer | Failure]) -> float:
        """Return the longest pause between two tokens that ended within, in seconds.

        Raises SetupError if there was none.
        """
        lengths = [end - begin for begin, end in pauses(outcomes) if self.begin < end <= self.end]
        if not lengths:
            raise SetupError("bench: the stream gave no tokens while it was observed")
        return max(lengths)


@dataclass(frozen=True, slots=True)
class Round:
    """The time without scrapes, the time with them, and the scrapes."""

    alone: Window
    beside: Window
    scrapes: tuple[Scrape, ...]


def scrape(settings: BenchSettings, progress: Progress) -> Findings:
    """Measure our server, started here over adapters made for it."""
    base = BaseShapes.read(settings.need_base())
    kind = RandomAdapters.about(base, RANK, SIZE_BYTES)
    engine = ENGINE | dict(settings.engine)

    with tempfile.TemporaryDirectory(prefix="lorabay-bench-") as folder:
        root = Path(folder)
        names = tuple(f"adapter-{number:04}" for number in range(settings.adapter_count))
        for number, name in enumerate(names):
            kind.write(root / "adapters" / name, number)

        def launch(port: int) -> list[str]:
            flags = {"store": str(root / "store")}
            return lorabay_command(settings.base, root / "adapters", engine, port, flags)

        return measure_scrapes(launch, names, settings, progress)


def measure_scrapes(
    launch: Launch,
    names: Sequence[str],
    settings: BenchSettings,
    progress: Progress,
    window_s: float = WINDOW_S,
) -> Findings:
    """Start the server, let many of the adapters answer, then take the rounds beside one stream."""
    rounds = settings.rounds or ROUNDS
    progress.plan(2 + rounds)

    progress.step("starting the server")
    with started(LORABAY, launch, settings) as server:
        progress.step("asking the adapters")
        _ask_many(server, names, settings)

        taking = _take_rounds(server.target, names[0], rounds, settings, progress, window_s)
        outcomes, taken = asyncio.run(taking)

    start = Start(LORABAY, 0, server.start_s)
    return Findings(starts=(start,), facts=scrape_facts(outcomes, taken))


def _ask_many(server: ReadyServer, names: Sequence[str], settings: BenchSettings) -> None:
    models = draw_names(names, REQUESTS, 0)
    workload = Workload(models, settings.prompt_tokens, REQUEST_TOKENS, settings.endpoint)
    run = measure(LORABAY, server.target, workload, REQUEST_STREAMS, 0, settings)
    if not run.stats.answers:
        raise SetupError(f"every request failed: {next(iter(run.stats.failures))}")


async def _take_rounds(
    target: Target,
    model: str,
    rounds: int,
    settings: BenchSettings,
    progress: Progress,
    window_s: float,
) -> tuple[Sequence[Answer | Failure], tuple[Round, ...]]:
    workload = Workload((model,), settings.prompt_tokens, STREAM_TOKENS, settings.endpoint)
    taken: list[Round] = []

    timeout_s = settings.request_timeout_s
    # Made before the clock starts: its TLS context alone takes as long as a page.
    scraper = httpx.Client(
        base_url=target.url, headers=target.headers, timeout=timeout_s, trust_env=False
    )
    with scraper:
        async with running_streams(target, workload, 1, timeout_s) as streams:
            await streams.turn_over()

            for number in range(rounds):
                progress.step(f"round {number + 1}")
                begin = time.perf_counter()
                await asyncio.sleep(window_s)
                between = time.perf_counter()
                scrapes = await _scrape_until(between + window_s, scraper)
                end = time.perf_counter()
                taken.append(Round(Window(begin, between), Window(between, end), scrapes))

    return streams.drive().outcomes, tuple(taken)


async def _scrape_until(deadline: float, scraper: httpx.Client) -> tuple[Scrape, ...]:
    scrapes: list[Scrape] = []
    while not scrapes or time.perf_counter() < deadline:
        begun = time.perf_counter()
        # In a thread: the stream goes on.
        size = await asyncio.to_thread(_read_page, scraper)
        scrapes.append(Scrape(time.perf_counter() - begun, size))
        await asyncio.sleep(EVERY_S)
    return tuple(scrapes)


def _read_page(scraper: httpx.Client) -> int:
    """Read the page, and return its size in bytes; raises SetupError if the server has none."""
    try:
        response = scraper.get("/metrics")
    except httpx.TransportError:
        raise SetupError(f"no server answers at {scraper.base_url}metrics") from None
    if response.status_code != httpx.codes.OK:
        raise SetupError(f"{response.url} answered {response.status_code}")
    return len(response.content)


def scrape_facts(outcomes: Sequence[Answer | Failure], rounds: Sequence[Round]) -> tuple[Fact, ...]:
    """Return the time of a scrape, and the stream's longest pause beside scrapes against that
    without, as the median of the rounds. Raises SetupError if the stream gave no tokens meanwhile.
    """
    scrapes = [one for taken in rounds for one in taken.scrapes]
    times_ms = [1_000 * one.seconds for one in scrapes]
    alone = [taken.alone.longest_pause(outcomes) for taken in rounds]
    beside = [taken.beside.longest_pause(outcomes) for taken in rounds]
    ratio = statistics.median(b / a for a, b in zip(alone, beside, strict=True))

    return (
        Fact("the page", max(one.size_bytes for one in scrapes) / MIB, "MiB"),
        Fact(f"scrape, median of {len(scrapes)}", statistics.median(times_ms), "ms", SCRAPE_BAR_MS),
        Fact("scrape, longest", max(times_ms), "ms"),
        Fact("longest pause of a stream, alone, median", 1_000 * statistics.median(alone), "ms"),
        Fact("longest pause of a stream, beside scrapes / alone", ratio, "x", PAUSE_BAR),
    )
