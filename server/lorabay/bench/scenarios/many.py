"""Scenario `many`: the cost of a thousand adapters of a megabyte each to our server.

Three starts: with one adapter, with all of them and an empty store, with all of them and that store
full. Then short requests, spread over all by popularity against one adapter alone, in turns on the
same server, and the pages that show all of them.
"""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from prometheus_client.parser import text_string_to_metric_families

from lorabay.base.shapes import BaseShapes
from lorabay.bench.alternation import Turn, alternate, figures, median_of, ratios
from lorabay.bench.commands import LORABAY, lorabay_command
from lorabay.bench.load_generator import measure, warm_up
from lorabay.bench.readiness import list_models, read_metrics, wait_metrics
from lorabay.bench.report import Fact, Findings, Run, Start
from lorabay.bench.resources import MIB, ProcessUse, read_process
from lorabay.bench.servers import Launch, spawned, wait_ready
from lorabay.bench.synthetic_adapters import RandomAdapters, draw_names
from lorabay.bench.workload import Workload
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lorabay.bench.load_generator import Target
    from lorabay.bench.progress import Progress
    from lorabay.bench.servers import ReadyServer
    from lorabay.bench.settings import BenchSettings

Serving: TypeAlias = Callable[[Path, Path, float], Launch]
"""The launch of our server, given adapter directory, store, and seconds between two looks at the
directory.
"""

ROUNDS = 4
REQUESTS = 200
"""Requests of each side, over all rounds."""
OUTPUT_TOKENS = 8
STREAMS = 4
RANK = 8
SIZE_BYTES = 1_000_000
CPU_BAR_S = 1.0
READ_BAR = 0.05
"""Share of the weights' bytes: a restart reads configs and manifests, nothing near the weights."""
IDLE_S = 12.0
IDLE_POLL_S, USUAL_POLL_S = 1.0, 10.0
ENGINE = {"max_loras": "8"}
PAGE_READS = 5
"""Times that each page is read; the median counts."""
PAGE_PAUSE_S = 1.1
"""Seconds between them: a page of metrics is not made anew within one."""
ALL, ONE = "all adapters", "one adapter"
SERIES = "lorabay_reconcile_seconds"


def many(settings: BenchSettings, progress: Progress) -> Findings:
    """Measure our server, started here over adapters made for it."""
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
    pause_s: float = PAGE_PAUSE_S,
) -> Findings:
    """Make the adapters, start three times, leave the server idle, ask."""
    rounds = settings.rounds or ROUNDS
    progress.plan(7 + 2 * rounds)

    with tempfile.TemporaryDirectory(prefix="lorabay-bench-") as folder:
        root = Path(folder)
        progress.step(f"making {settings.adapter_count} adapters")
        names = make_adapters(root, kind, settings.adapter_count)

        # The cost of the program itself, which is taken off the other starts.
        progress.step("starting with one adapter")
        launch = serving(root / "one", root / "store-of-one", USUAL_POLL_S)
        with observed_start(launch, settings) as alone:
            pass

        progress.step("starting with an empty store")
        # This one looks often, so that a short idle time holds many passes.
        launch = serving(root / "all", root / "store", IDLE_POLL_S)
        with observed_start(launch, settings) as first:
            progress.step("leaving the server idle")
            idle = observe_idle(first.server, idle_s, settings.request_timeout_s)

        progress.step("starting with a full store")
        launch = serving(root / "all", root / "store", USUAL_POLL_S)
        with observed_start(launch, settings) as again:
            turns = _take_turns(again.server, names, rounds, settings, progress)
            progress.step("reading the pages that show all adapters")
            pages = page_facts(again.server.target, settings.request_timeout_s, pause_s)

    read_bar_mib = READ_BAR * settings.adapter_count * kind.size_bytes / MIB
    facts = (
        *start_facts("first start, empty store", first, alone),
        *start_facts("restart, full store", again, alone, read_bar_mib),
        *idle_facts(idle, kind.size_bytes),
        *latency_facts(turns),
        *pages,
    )
    starts = tuple(
        Start(LORABAY, number, start.server.start_s)
        for number, start in enumerate((alone, first, again))
    )
    return Findings(runs=tuple(turn.value for turn in turns), starts=starts, facts=facts)


def make_adapters(root: Path, kind: RandomAdapters, count: int) -> tuple[str, ...]:
    """Make folder `all` with `count` adapters and folder `one` with the first; return all names."""
    names = tuple(f"adapter-{number:04}" for number in range(count))
    for number, name in enumerate(names):
        kind.write(root / "all" / name, number)
    kind.write(root / "one" / names[0], 0)
    return names


@dataclass(frozen=True, slots=True)
class Passes:
    """Passes over the adapter directory since the server's start, and their seconds together."""

    count: int
    seconds: float

    def since(self, before: Passes) -> Passes:
        """Return the passes between an earlier page and this one."""
        return Passes(self.count - before.count, self.seconds - before.seconds)


@dataclass(frozen=True, slots=True)
class ObservedStart:
    """A ready server, the seconds of its first scan, and its use when HTTP answered and when it was
    ready.
    """

    server: ReadyServer
    scan_s: float
    at_http: ProcessUse
    at_ready: ProcessUse

    def beyond(self, other: ObservedStart) -> ProcessUse:
        """Return how much more this start used than the other one.

        Processor time and reads count until HTTP answered, memory when the server was ready.
        """
        until_http = self.at_http.beyond(other.at_http)
        when_ready = self.at_ready.beyond(other.at_ready)
        return replace(until_http, resident_bytes=when_ready.resident_bytes)


@dataclass(frozen=True, slots=True)
class Idleness:
    """Passes over the adapter directory in which nothing had changed, and all that the process used
    meanwhile.
    """

    passes: Passes
    use: ProcessUse


@contextmanager
def observed_start(launch: Launch, settings: BenchSettings) -> Iterator[ObservedStart]:
    """Start our server and observe it until it is ready; it is stopped when the block ends.

    The scan ends before HTTP answers and the engine starts after it. So the first `/metrics` page
    shows the scan's time alone. Its processor time and reads come with those of the program's own
    start, which a server with one adapter has too.
    """
    with spawned(LORABAY, launch, settings) as (process, target):
        scan = parse_passes(wait_metrics(process, target, settings.start_timeout_s))
        at_http = read_process(process.group)

        server = wait_ready(process, target, settings)
        yield ObservedStart(server, scan.seconds, at_http, read_process(process.group))


def observe_idle(server: ReadyServer, seconds: float, timeout_s: float) -> Idleness:
    """Leave the server alone for a while and return its passes and its use."""
    passes = parse_passes(read_metrics(server.target, timeout_s))
    before = read_process(server.group)

    time.sleep(seconds)

    use = read_process(server.group).beyond(before)
    return Idleness(parse_passes(read_metrics(server.target, timeout_s)).since(passes), use)


def parse_passes(metrics: str) -> Passes:
    """Read our `/metrics` page; raises SetupError for the page of another server."""
    samples: dict[str, float] = {}
    for family in text_string_to_metric_families(metrics):
        if family.name == SERIES:
            samples |= {sample.name: sample.value for sample in family.samples}

    try:
        return Passes(int(samples[f"{SERIES}_count"]), samples[f"{SERIES}_sum"])
    except KeyError as error:
        raise SetupError(f"bench: the server's /metrics has no {SERIES}") from error


def _take_turns(
    server: ReadyServer,
    names: Sequence[str],
    rounds: int,
    settings: BenchSettings,
    progress: Progress,
) -> tuple[Turn[Run], ...]:
    # Rounded up: the rounds together ask at least as often as wanted.
    requests = math.ceil((settings.requests or REQUESTS) / rounds)
    asked = replace(settings, requests=requests)
    shape = Workload((names[0],), settings.prompt_tokens, OUTPUT_TOKENS, settings.endpoint)

    progress.step("warming up")
    warm_up(server.target, shape, STREAMS, settings.request_timeout_s)

    def side(name: str, models_of: Callable[[int], tuple[str, ...]]) -> Callable[[int], Run]:
        def take(number: int) -> Run:
            progress.step(f"{name}, round {number + 1}")
            workload = replace(shape, models=models_of(number))
            run = measure(name, server.target, workload, STREAMS, number, asked)
            if not run.stats.answers:
                reason = next(iter(run.stats.failures))
                raise SetupError(f"every request of a turn failed: {reason}")
            return run

        return take

    sides = {
        ALL: side(ALL, lambda number: draw_names(names, requests, number)),
        ONE: side(ONE, lambda number: (names[0],)),
    }
    return alternate(sides, rounds)


def page_facts(target: Target, timeout_s: float, pause_s: float) -> tuple[Fact, ...]:
    """Return how long the pages take that show all adapters, when many of them have answered."""
    return tuple(
        Fact(f"{path}: median of {PAGE_READS}", _median_s(read, pause_s) * 1_000, "ms")
        for path, read in (
            ("/v1/models", lambda: list_models(target, timeout_s)),
            ("/metrics", lambda: read_metrics(target, timeout_s)),
        )
    )


def _median_s(read: Callable[[], object], pause_s: float) -> float:
    seconds: list[float] = []
    for _ in range(PAGE_READS):
        time.sleep(pause_s)
        began = time.perf_counter()
        read()
        seconds.append(time.perf_counter() - began)

    return statistics.median(seconds)


def start_facts(
    which: str, start: ObservedStart, alone: ObservedStart, read_bar: float | None = None
) -> tuple[Fact, ...]:
    """Return the cost of a start beyond that of a server with one adapter.

    The scan's own seconds are reported whole. `read_bar` is in MiB.
    """
    more = start.beyond(alone)
    return (
        Fact(f"{which}: scan", start.scan_s, "s"),
        Fact(f"{which}: processor time beyond one adapter", more.cpu_s, "s"),
        Fact(f"{which}: read beyond one adapter", more.read_mib, "MiB", read_bar),
        Fact(f"{which}: memory of the gateway beyond one adapter", more.resident_mib, "MiB"),
    )


def idle_facts(idle: Idleness, adapter_bytes: int) -> tuple[Fact, ...]:
    """Return the cost of one pass over unchanged folders; raises SetupError if there was none.

    The bar on reads is one adapter: a pass that reads any weights file is over it.
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
    """Return the median of the rounds' medians for each side, and the median of their ratios."""
    times = figures(turns, lambda run: run.stats.request.p50_ms or 0.0)
    ratio = statistics.median(ratios(times, ALL, ONE))

    asked = f"{OUTPUT_TOKENS} tokens, {STREAMS} streams, p50"
    return (
        Fact(f"request, {ALL}: {asked}", median_of(times, ALL), "ms"),
        Fact(f"request, {ONE}: {asked}", median_of(times, ONE), "ms"),
        Fact(f"request, {ALL} / {ONE}: {asked}", ratio, "x"),
    )
