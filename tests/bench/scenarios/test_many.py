"""Scenario `many` with small servers that it really starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from lorabay.base.shapes import BaseShapes
from lorabay.bench.alternation import Turn
from lorabay.bench.load_generator import Target
from lorabay.bench.progress import NoProgress
from lorabay.bench.readiness import Listing, list_models
from lorabay.bench.report import Run
from lorabay.bench.resources import MIB, ProcessUse
from lorabay.bench.scenarios.many import (
    Idleness,
    ObservedStart,
    Passes,
    idle_facts,
    latency_facts,
    make_adapters,
    measure_many,
    observe_idle,
    observed_start,
    parse_passes,
    start_facts,
)
from lorabay.bench.servers import ReadyServer
from lorabay.bench.settings import BenchSettings
from lorabay.bench.stats import Latency, RunStats
from lorabay.bench.synthetic_adapters import RandomAdapters
from lorabay.catalog.discovery import scan
from lorabay.errors import SetupError
from lorabay.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lorabay.bench.servers import Launch


@pytest.fixture
def kind(tiny_base: Path) -> RandomAdapters:
    return RandomAdapters.about(BaseShapes.read(tiny_base), 4, 1_000)


def seen(scan_s: float, cpu_s: float, read_mib: float, resident_mib: float) -> ObservedStart:
    """Return a server that has used so much."""
    server = ReadyServer("lorabay", Target("http://x"), Listing("tiny", ()), 1, 9.0)
    use = ProcessUse(cpu_s, int(read_mib * MIB), int(resident_mib * MIB))
    return ObservedStart(server, scan_s, use, use)


def turn(side: str, number: int, p50_ms: float) -> Turn[Run]:
    """Return a turn with this latency."""
    nothing = Latency(None, None)
    stats = RunStats(1, {}, 2.0, 1, 8, nothing, nothing, Latency(p50_ms, None))
    return Turn(side, number, 2.0, Run(side, number, 4, stats, 0.0))


def test_every_adapter_is_another_one(tmp_path: Path, kind: RandomAdapters) -> None:
    """As many folders with different weights as were asked for, and one alone in a directory of its
    own.
    """
    names = make_adapters(tmp_path, kind, 5)
    assert set(names) == set(scan(tmp_path / "all"))
    assert list(scan(tmp_path / "one")) == [names[0]]
    weights = {
        (tmp_path / "all" / name / "adapter_model.safetensors").read_bytes() for name in names
    }
    assert len(weights) == 5


def test_three_starts_and_alternating_turns(
    kind: RandomAdapters, launch_following: Callable[[Path], Callable[[int], list[str]]]
) -> None:
    """One adapter, an empty store, the same store again; then equal numbers of short requests, side
    by side.
    """
    served: list[tuple[int, str, float]] = []

    def serving(adapters: Path, store: Path, poll_s: float) -> Launch:
        served.append((len(list(adapters.iterdir())), store.name, poll_s))
        return launch_following(adapters)

    settings = BenchSettings(
        adapter_count=3, requests=10, rounds=2, prompt_tokens=4, start_timeout_s=60
    )
    findings = measure_many(serving, kind, settings, NoProgress(), idle_s=0.0, pause_s=0.0)

    assert served == [(1, "store-of-one", 10.0), (3, "store", 1.0), (3, "store", 10.0)]
    assert [(run.side, run.round) for run in findings.runs] == [
        (side, number) for number in (0, 1) for side in ("all adapters", "one adapter")
    ]
    assert {(run.stats.answers, run.stats.output_tokens) for run in findings.runs} == {(5, 40)}
    assert len(findings.starts) == 3

    facts = {fact.name: fact for fact in findings.facts}
    assert facts["first start, empty store: scan"].value == 0.25
    assert facts["idle pass: wall time"].value == 0.25
    assert facts["request, all adapters: 8 tokens, 4 streams, p50"].value > 0
    assert facts["/v1/models: median of 5"].value > 0
    assert facts["/metrics: median of 5"].value > 0
    assert [name for name, fact in facts.items() if fact.bar is not None] == [
        "restart, full store: read beyond one adapter",
        "idle pass: processor time of the gateway",
        "1 idle passes: read",
    ]


def test_a_restart_that_reads_weights_misses_its_bar() -> None:
    """The cost of the one adapter is taken off; the scan's own seconds are reported whole."""
    alone = seen(scan_s=0.1, cpu_s=9.0, read_mib=100, resident_mib=400)
    restart = seen(scan_s=0.9, cpu_s=9.5, read_mib=149, resident_mib=420)
    scan_s, cpu, read, memory = start_facts("restart", restart, alone, read_bar=50)
    assert [fact.value for fact in (scan_s, cpu, read, memory)] == [0.9, 0.5, 49, 20]
    assert read.passed
    assert not start_facts("restart", seen(0.9, 9.5, 1_100, 420), alone, read_bar=50)[2].passed


def test_an_idle_pass_is_one_of_many() -> None:
    """Times are those of one pass; a single weights file read in any of them is over the bar."""
    wall, cpu, read = idle_facts(
        Idleness(Passes(10, 2.0), ProcessUse(12.0, MIB // 2, 0)), adapter_bytes=MIB
    )
    assert (wall.value, cpu.value, cpu.passed) == (0.2, 1.2, False)
    assert (read.value, read.bar, read.passed) == (0.5, 1.0, True)
    assert not idle_facts(
        Idleness(Passes(10, 2.0), ProcessUse(1.0, 2 * MIB, 0)), adapter_bytes=MIB
    )[2].passed


def test_a_server_that_never_looks_is_not_judged() -> None:
    """Without a pass the figures of one are an error."""
    with pytest.raises(SetupError, match="did not look at its adapter directory"):
        idle_facts(Idleness(Passes(0, 0.0), ProcessUse(0.0, 0, 0)), adapter_bytes=MIB)


def test_latencies_are_compared_round_by_round() -> None:
    """The ratio is the median of the rounds' ratios, whatever the machine's drift between them."""
    turns = [
        turn("all adapters", 0, 300.0),
        turn("one adapter", 0, 200.0),
        turn("all adapters", 1, 660.0),
        turn("one adapter", 1, 600.0),
        turn("all adapters", 2, 480.0),
        turn("one adapter", 2, 400.0),
    ]
    everyone, one, ratio = latency_facts(turns)

    assert (everyone.value, one.value, ratio.value) == (480.0, 400.0, 1.2)


def test_a_start_is_observed_and_ended(
    launch_fake: Callable[..., Callable[[int], list[str]]],
) -> None:
    """The scan's time is that of the first metrics page, usage that of the server itself; it is
    stopped in the end.
    """
    with observed_start(launch_fake("finance"), BenchSettings()) as seen:
        assert seen.scan_s == 0.25
        assert 0 < seen.at_http.cpu_s <= seen.at_ready.cpu_s
        assert seen.at_http.read_mib > 0
        assert seen.server.listing.adapters == ("finance",)
        idle = observe_idle(seen.server, seconds=0.0, timeout_s=10)
        assert (idle.passes.count, idle.passes.seconds) == (1, 0.25)
        assert idle.use.cpu_s >= 0
    with pytest.raises(SetupError, match="no server answers"):
        list_models(seen.server.target, timeout_s=10)


def test_a_start_is_compared_where_each_figure_counts() -> None:
    """Processor and reads until HTTP answered, memory when the server was ready."""
    server = ReadyServer("lorabay", Target("http://x"), Listing("tiny", ()), 1, 9.0)
    alone = ObservedStart(server, 0.1, ProcessUse(10.0, 1_000, 0), ProcessUse(99.0, 9_999, 500))
    many = ObservedStart(server, 0.9, ProcessUse(12.5, 5_000, 0), ProcessUse(999.0, 99_999, 700))
    assert many.beyond(alone) == ProcessUse(2.5, 4_000, 200)


def test_our_own_page_is_understood() -> None:
    """Number and seconds are those that the server's metrics have counted."""
    metrics = Metrics(CollectorRegistry())
    metrics.reconcile_seconds.observe(0.25)
    before = parse_passes(generate_latest(metrics.registry).decode())
    for seconds in (0.5, 1.0):
        metrics.reconcile_seconds.observe(seconds)
    after = parse_passes(generate_latest(metrics.registry).decode())
    assert before == Passes(1, 0.25)
    assert after.since(before) == Passes(2, 1.5)


def test_the_page_of_another_server_is_one_clear_line() -> None:
    """A page without our series is an error that names it."""
    with pytest.raises(SetupError, match="has no lorabay_reconcile_seconds"):
        parse_passes("# TYPE other counter\nother_total 1\n")
