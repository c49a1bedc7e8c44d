"""Scenario `many`: what a thousand adapters of a megabyte each cost our server.

Three starts: with one adapter, with all of them and an empty store, with all of them and that store
full. Then short requests, spread over all by popularity against one adapter alone, in turns on the
same server.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from lorabay.base.shapes import BaseShapes
from lorabay.bench.alternation import Turn, alternate, ratios
from lorabay.bench.commands import LORABAY, lorabay_command
from lorabay.bench.measurement import measure, warm_up
from lorabay.bench.observed import observe_idle, observed
from lorabay.bench.report import Fact, Findings, Run, Start
from lorabay.bench.resources import MIB
from lorabay.bench.servers import Launch
from lorabay.bench.synthetic_adapters import RandomAdapters
from lorabay.bench.workload import Workload
from lorabay.bench.zipf import draw_names
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorabay.bench.observed import Idleness, Observed
    from lorabay.bench.progress import Progress
    from lorabay.bench.servers import Started
    from lorabay.bench.settings import BenchSettings

Serving: TypeAlias = Callable[[Path, Path, float], Launch]
"""The launch of our server, given adapter directory, store, and seconds between two looks at the
directory.
"""

ROUNDS = 4
REQUESTS = 200
"""Of each side, over all rounds."""
OUTPUT_TOKENS = 8
STREAMS = 4
RANK = 8
SIZE_BYTES = 1_000_000
CPU_BAR_S = 1.0
READ_BAR = 0.05
"""Of the weights' bytes: a restart reads configs and manifests, nothing near the weights."""
IDLE_S = 12.0
IDLE_POLL_S, USUAL_POLL_S = 1.0, 10.0
ENGINE = {"max_loras": "8"}
ALL, ONE = "all adapters", "one adapter"


def many(settings: BenchSettings, progress: Progress) -> Findings:
    """Our server, started here over adapters made for it."""
    base = BaseShapes.read(settings.need_base())
    engine = ENGINE | dict(settings.engine)

    def serving(adapters: Path, store: Path, poll_s: float) -> Launch:
        flags = {"store": str(store), "poll-s": str(poll_s)}
        return lambda port: lorabay_command(settings.base, adapters, engine, port, flags)

    return measure_many(serving, RandomAdapters.about(base, RANK, SIZE_BYTES), settings, progress)


def measure_many(
    serving: Serving,
    kind: RandomAdapters,
    settings: BenchSettings,
    progress: Progress,
    idle_s: float = IDLE_S,
) -> Findings:
    """Make the adapters, start three times, ask."""
    rounds = settings.rounds or ROUNDS
    progress.plan(6 + 2 * rounds)
    with tempfile.TemporaryDirectory(prefix="lorabay-bench-") as folder:
        root = Path(folder)
        progress.step(f"making {settings.adapter_count} adapters")
        names = make_adapters(root, kind, settings.adapter_count)
        progress.step("starting with one adapter")
        with observed(
            serving(root / "one", root / "store-of-one", USUAL_POLL_S), settings
        ) as alone:
            pass
        progress.step("starting with an empty store")
        with observed(serving(root / "all", root / "store", IDLE_POLL_S), settings) as first:
            progress.step("leaving the server idle")
            idle = observe_idle(first.server, idle_s, settings.request_timeout_s)
        progress.step("starting with a full store")
        with observed(serving(root / "all", root / "store", USUAL_POLL_S), settings) as again:
            turns = _take_turns(again.server, names, rounds, settings, progress)
    weights = settings.adapter_count * kind.size_bytes
    facts = (
        *start_facts("first start, empty store", first, alone),
        *start_facts("restart, full store", again, alone, READ_BAR * weights / MIB),
        *idle_facts(idle, kind.size_bytes),
        *latency_facts(turns),
    )
    starts = tuple(
        Start(LORABAY, number, seen.server.start_s)
        for number, seen in enumerate((alone, first, again))
    )
    return Findings(runs=tuple(turn.value for turn in turns), starts=starts, facts=facts)


def make_adapters(root: Path, kind: RandomAdapters, count: int) -> tuple[str, ...]:
    """Folder `all` with so many adapters, folder `one` with one; gives the names."""
    names = tuple(f"adapter-{number:04}" for number in range(count))
    for number, name in enumerate(names):
        kind.write(root / "all" / name, number)
    kind.write(root / "one" / names[0], 0)
    return names


def _take_turns(
    server: Started, names: Sequence[str], rounds: int, settings: BenchSettings, progress: Progress
) -> tuple[Turn[Run], ...]:
    requests = -(-(settings.requests or REQUESTS) // rounds)
    shape = Workload(tuple(names[:1]), settings.prompt_tokens, OUTPUT_TOKENS, settings.endpoint)
    progress.step("warming up")
    warm_up(server.target, shape, STREAMS, settings.request_timeout_s)

    def asking(side: str, choose: Callable[[int], Sequence[str]]) -> Callable[[int], Run]:
        def take(number: int) -> Run:
            progress.step(f"{side}, round {number + 1}")
            workload = replace(shape, models=tuple(choose(number)))
            run = measure(
                server.target, workload, STREAMS, number, replace(settings, requests=requests)
            )
            if not run.stats.answers:
                raise SetupError(
                    f"every request of a turn failed: {next(iter(run.stats.failures))}"
                )
            return Run(side, number, STREAMS, run.stats, run.client_cpu_s)

        return take

    spread = asking(ALL, lambda number: draw_names(names, requests, number))
    return alternate({ALL: spread, ONE: asking(ONE, lambda number: names[:1])}, rounds)


def start_facts(
    which: str, seen: Observed, alone: Observed, read_bar: float | None = None
) -> tuple[Fact, ...]:
    """What a start took beyond that of a server with one adapter; the scan's own seconds are
    exact.
    """
    more = seen.start_beyond(alone)
    return (
        Fact(f"{which}: scan", seen.scan_s, "s"),
        Fact(f"{which}: processor time beyond one adapter", more.cpu_s, "s"),
        Fact(f"{which}: read beyond one adapter", more.read_mib, "MiB", read_bar),
        Fact(f"{which}: memory of the gateway beyond one adapter", more.resident_mib, "MiB"),
    )


def idle_facts(idle: Idleness, adapter_bytes: int) -> tuple[Fact, ...]:
    """One pass over unchanged folders. Were a weights file read in any of them, all would read more
    than its size.
    """
    count = idle.passes.count
    if not count:
        raise SetupError(
            "bench: the server did not look at its adapter directory while it was left idle"
        )
    return (
        Fact("idle pass: wall time", idle.passes.seconds / count, "s"),
        Fact("idle pass: processor time of the gateway", idle.use.cpu_s / count, "s", CPU_BAR_S),
        Fact(f"{count} idle passes: read", idle.use.read_mib, "MiB", adapter_bytes / MIB),
    )


def latency_facts(turns: Sequence[Turn[Run]]) -> tuple[Fact, ...]:
    """Medians of the rounds' medians, and the median of their ratios."""
    times = [
        Turn(turn.side, turn.round, turn.seconds, turn.value.stats.request.p50_ms or 0.0)
        for turn in turns
    ]
    medians = {
        side: statistics.median(turn.value for turn in times if turn.side == side)
        for side in (ALL, ONE)
    }
    asked = f"{OUTPUT_TOKENS} tokens, {STREAMS} streams, p50"
    return (
        *(Fact(f"request, {side}: {asked}", median, "ms") for side, median in medians.items()),
        Fact(f"request, {ALL} / {ONE}: {asked}", statistics.median(ratios(times, ALL, ONE)), "x"),
    )
