"""Scenario `stall`: the pauses of running streams while a large adapter is dropped in and loaded.

Each round renames a new adapter of high rank into place and waits until the server lists it. The
server lists it once the engine holds the weights. The bar is on the longest pause between two
tokens of any stream meanwhile, against the median pause. The longest pause just before a load shows
how much the machine stalls by itself.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lorabay.base.shapes import BaseShapes
from lorabay.bench.commands import LORABAY, lorabay_command
from lorabay.bench.load_generator import open_session
from lorabay.bench.readiness import Listing
from lorabay.bench.report import Fact, Findings, Start
from lorabay.bench.resources import MIB
from lorabay.bench.servers import started
from lorabay.bench.streams import pauses, running_streams
from lorabay.bench.synthetic_adapters import EVERY_MODULE, RandomAdapters
from lorabay.bench.workload import Workload
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import aiohttp

    from lorabay.bench.load_generator import Drive, Target
    from lorabay.bench.progress import Progress
    from lorabay.bench.servers import Launch
    from lorabay.bench.settings import BenchSettings
    from lorabay.bench.transcript import Answer, Failure

ROUNDS = 5
RANK, STEADY_RANK = 64, 16
STREAMS = 8
BAR = 2.0
POLL_S = 0.05
LIST_TIMEOUT_S = 60.0
PAUSE_S = 2.0
"""Seconds between the beginning of new answers and a load: prompts that are read make streams wait,
whatever else happens.
"""
PROMPTS_S = 0.5
"""Seconds of them in which the prompts of new answers are still read."""
STEADY = "steady"
OUTPUT_TOKENS = 256


@dataclass(frozen=True, slots=True)
class LoadSpan:
    """Clock readings just before the rename, and when the server was seen to list the adapter."""

    renamed: float
    listed: float

    @property
    def seconds(self) -> float:
        return self.listed - self.renamed

    @property
    def before(self) -> LoadSpan:
        """The time just before the load, as long as the load, in which no prompt was read."""
        return LoadSpan(self.renamed - min(self.seconds, PAUSE_S - PROMPTS_S), self.renamed)

    def overlaps(self, pause: tuple[float, float]) -> bool:
        """Return whether a part of the pause (begin, end) lies within."""
        begin, end = pause
        return begin < self.listed and end > self.renamed


def stall(settings: BenchSettings, progress: Progress) -> Findings:
    """Measure loads into our server, started here over an adapter directory of its own."""
    rounds = settings.rounds or ROUNDS
    base = BaseShapes.read(settings.need_base())
    places = str(rounds + 2)
    room = {"max_loras": places, "max_cpu_loras": places, "max_lora_rank": str(RANK)}
    engine = room | dict(settings.engine)

    with tempfile.TemporaryDirectory(prefix="lorabay-bench-") as folder:
        root = Path(folder)
        large = RandomAdapters.about(base, RANK, EVERY_MODULE)
        for number in range(rounds):
            large.write(root / "drafts" / f"large-{number}", 1 + number)
        steady = RandomAdapters.about(base, STEADY_RANK, EVERY_MODULE)
        steady.write(root / "adapters" / STEADY, 0)

        flags = {"store": str(root / "store")}
        size = Fact("size of the adapter", large.size_bytes / MIB, "MiB")

        def launch(port: int) -> list[str]:
            return lorabay_command(settings.base, root / "adapters", engine, port, flags)

        return measure_stall(launch, root, size, settings, progress)


def measure_stall(
    launch: Launch,
    root: Path,
    size: Fact,
    settings: BenchSettings,
    progress: Progress,
    pause_s: float = PAUSE_S,
) -> Findings:
    """Start the server, keep streams running, and move every draft below `root` into place."""
    drafts = sorted((root / "drafts").iterdir())
    progress.plan(1 + len(drafts))

    progress.step("starting the server")
    with started(LORABAY, launch, settings) as server:
        # A steady adapter that is not served would cost a whole timeout.
        server.listing.resolve((STEADY,))
        loading = _load_beside_streams(server.target, root, drafts, settings, progress, pause_s)
        drive, loads = asyncio.run(loading)

    run = drive.summed_up(LORABAY, 0, STREAMS)
    start = Start(LORABAY, 0, server.start_s)
    facts = (size, *stall_facts(drive.outcomes, loads))
    return Findings(runs=(run,), starts=(start,), facts=facts)


async def _load_beside_streams(
    target: Target,
    root: Path,
    drafts: Sequence[Path],
    settings: BenchSettings,
    progress: Progress,
    pause_s: float,
) -> tuple[Drive, tuple[LoadSpan, ...]]:
    workload = Workload((STEADY,), settings.prompt_tokens, OUTPUT_TOKENS, settings.endpoint)
    loads: list[LoadSpan] = []

    async with (
        running_streams(target, workload, STREAMS, settings.request_timeout_s) as streams,
        open_session(target, LIST_TIMEOUT_S, connections=1) as session,
    ):
        # The first answers warm the server up.
        await streams.turn_over()

        for draft in drafts:
            progress.step(f"loading {draft.name}")
            await asyncio.sleep(pause_s)

            renamed = time.perf_counter()
            draft.rename(root / "adapters" / draft.name)
            await _wait_listed(session, target.url, draft.name, renamed + settings.start_timeout_s)
            loads.append(LoadSpan(renamed, time.perf_counter()))

            # New answers begin, so that the next load falls into the middle of them.
            await streams.turn_over()

    return streams.drive(), tuple(loads)


async def _wait_listed(
    session: aiohttp.ClientSession, url: str, name: str, deadline: float
) -> None:
    """Wait until the server lists the adapter; raises SetupError at the deadline.

    Asks over one connection, with next to no work for this machine: the streams are to feel the
    load, and not the questions.
    """
    while True:
        async with session.get(f"{url}/v1/models") as response:
            listing = Listing.of(await response.json(), url)
        if name in listing.adapters:
            return
        if time.perf_counter() > deadline:
            raise SetupError(f"bench: {name} was renamed into place and is not served")
        await asyncio.sleep(POLL_S)


def stall_facts(
    outcomes: Sequence[Answer | Failure], loads: Sequence[LoadSpan]
) -> tuple[Fact, ...]:
    """Return the longest pause of each load, as their median, against the median pause between
    loads.

    The time just before each load shows the machine's own stalls. Raises
    SetupError if there was no pause during a load, or none between them.
    """
    all_pauses = list(pauses(outcomes))
    during = [_lengths(all_pauses, load) for load in loads]
    before = [_lengths(all_pauses, load.before) for load in loads]

    def touches_a_load(pause: tuple[float, float]) -> bool:
        return any(load.overlaps(pause) for load in loads)

    between = [end - begin for begin, end in all_pauses if not touches_a_load((begin, end))]
    if not between or not all(during):
        raise SetupError("bench: the streams gave no tokens during a load, or none between them")

    load_s = statistics.median(load.seconds for load in loads)
    usual = statistics.median(between)
    longest = [max(lengths) for lengths in during]
    longest_before = [max(lengths, default=0.0) for lengths in before]
    return (
        Fact("rename to served, median", load_s, "s"),
        Fact("between two tokens, no load, median", usual * 1_000, "ms"),
        Fact(
            "between two tokens, before a load, longest, median",
            statistics.median(longest_before) * 1_000,
            "ms",
        ),
        Fact(
            "between two tokens, during a load, longest, median of loads",
            statistics.median(longest) * 1_000,
            "ms",
        ),
        Fact("between two tokens, during a load, longest of all", max(longest) * 1_000, "ms"),
        Fact(
            "longest during a load / median, median of loads",
            statistics.median(longest) / usual,
            "x",
            BAR,
        ),
    )


def _lengths(all_pauses: Sequence[tuple[float, float]], load: LoadSpan) -> list[float]:
    """Return the lengths of the pauses that overlap a load."""
    return [end - begin for begin, end in all_pauses if load.overlaps((begin, end))]
