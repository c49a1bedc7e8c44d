"""Scenario `stall`: what running streams feel while a large adapter is dropped in and loaded.

Each round renames a new adapter of high rank into place and waits until the server lists it, which
it does once the engine holds the weights. The bar is on the longest pause between two tokens of any
stream meanwhile, against the median pause; the longest pause while nothing loads tells what the
machine does by itself.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from lorabay.base.shapes import BaseShapes
from lorabay.bench.commands import LORABAY, lorabay_command
from lorabay.bench.readiness import list_models
from lorabay.bench.report import Fact, Findings, Run, Start
from lorabay.bench.resources import MIB
from lorabay.bench.scenarios.adapters import EVERY_MODULE
from lorabay.bench.servers import started
from lorabay.bench.stats import summarise
from lorabay.bench.streams import running_streams
from lorabay.bench.synthetic_adapters import RandomAdapters
from lorabay.bench.transcript import Answer
from lorabay.bench.workload import Workload
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorabay.bench.progress import Progress
    from lorabay.bench.servers import Launch, Started
    from lorabay.bench.settings import BenchSettings
    from lorabay.bench.transcript import Failure

ROUNDS = 5
RANK, STEADY_RANK = 64, 16
STREAMS = 8
BAR = 3.0
POLL_S = 0.05
PAUSE_S = 2.0
"""Between the beginning of new answers and a load: prompts that are read make streams wait,
whatever else happens.
"""
STEADY = "steady"
OUTPUT_TOKENS = 256


@dataclass(frozen=True, slots=True)
class Load:
    """Clock readings just before the rename, and when the adapter was seen to be served."""

    renamed: float
    listed: float


def stall(settings: BenchSettings, progress: Progress) -> Findings:
    """Loads into our server, started here over an adapter directory of its own."""
    rounds = settings.rounds or ROUNDS
    base = BaseShapes.read(settings.need_base())
    with tempfile.TemporaryDirectory(prefix="lorabay-bench-") as folder:
        root = Path(folder)
        large = RandomAdapters.about(base, RANK, EVERY_MODULE)
        RandomAdapters.about(base, STEADY_RANK, EVERY_MODULE).write(root / "adapters" / STEADY, 0)
        for number in range(rounds):
            large.write(root / "drafts" / f"large-{number}", 1 + number)
        places = str(rounds + 2)
        engine = {"max_loras": places, "max_cpu_loras": places, "max_lora_rank": str(RANK)} | dict(
            settings.engine
        )
        flags = {"store": str(root / "store")}
        size = Fact("size of the adapter", large.size_bytes / MIB, "MiB")
        return measure_stall(
            lambda port: lorabay_command(settings.base, root / "adapters", engine, port, flags),
            root,
            size,
            settings,
            progress,
        )


def measure_stall(
    launch: Launch,
    root: Path,
    size: Fact,
    settings: BenchSettings,
    progress: Progress,
    pause_s: float = PAUSE_S,
) -> Findings:
    """Start the server, keep the streams running, move every draft into place."""
    drafts = sorted((root / "drafts").iterdir())
    progress.plan(1 + len(drafts))
    progress.step("starting the server")
    workload = Workload((STEADY,), settings.prompt_tokens, OUTPUT_TOKENS, settings.endpoint)
    with started(LORABAY, launch, settings) as server:
        server.listing.resolve((STEADY,))
        run, loads = asyncio.run(
            _load_beside(server, root, drafts, workload, settings, progress, pause_s)
        )
        start = Start(LORABAY, 0, server.start_s)
    return Findings(runs=(run[0],), starts=(start,), facts=(size, *stall_facts(run[1], loads)))


async def _load_beside(
    server: Started,
    root: Path,
    drafts: Sequence[Path],
    workload: Workload,
    settings: BenchSettings,
    progress: Progress,
    pause_s: float,
) -> tuple[tuple[Run, Sequence[Answer | Failure]], tuple[Load, ...]]:
    loads: list[Load] = []
    async with running_streams(
        server.target, workload, STREAMS, settings.request_timeout_s
    ) as streams:
        await streams.turn_over()
        for draft in drafts:
            progress.step(f"loading {draft.name}")
            await asyncio.sleep(pause_s)
            renamed = time.perf_counter()
            draft.rename(root / "adapters" / draft.name)
            deadline = renamed + settings.start_timeout_s
            while (
                draft.name
                not in (await asyncio.to_thread(list_models, server.target, 60.0)).adapters
            ):
                if time.perf_counter() > deadline:
                    raise SetupError(
                        f"bench: {draft.name} was renamed into place and is not served"
                    )
                await asyncio.sleep(POLL_S)
            loads.append(Load(renamed, time.perf_counter()))
            await streams.turn_over()
    driven = streams.drive()
    run = Run(LORABAY, 0, STREAMS, summarise(driven.outcomes, driven.seconds), driven.client_cpu_s)
    return (run, driven.outcomes), tuple(loads)


def stall_facts(outcomes: Sequence[Answer | Failure], loads: Sequence[Load]) -> tuple[Fact, ...]:
    """Per load the longest pause that overlaps it; their median against the median pause between
    loads.

    What the machine does to streams anyway shows in the time just before each load, taken as long
    as the load.
    """
    gaps = [
        gap
        for outcome in outcomes
        if isinstance(outcome, Answer)
        for gap in pairwise(outcome.token_times)
    ]
    during = [_overlapping(gaps, load.renamed, load.listed) for load in loads]
    before = [_overlapping(gaps, 2 * load.renamed - load.listed, load.renamed) for load in loads]
    between = [
        e - b for b, e in gaps if not any(b < load.listed and e > load.renamed for load in loads)
    ]
    if not between or not all(during):
        raise SetupError("bench: the streams gave no tokens during a load, or none between them")
    usual, longest = statistics.median(between), [max(pauses) for pauses in during]
    longest_before = [max(pauses, default=0.0) for pauses in before]
    return (
        Fact(
            "rename to served, median",
            statistics.median(load.listed - load.renamed for load in loads),
            "s",
        ),
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


def _overlapping(gaps: Sequence[tuple[float, float]], begin: float, end: float) -> list[float]:
    return [b - a for a, b in gaps if a < end and b > begin]
