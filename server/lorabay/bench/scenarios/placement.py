"""Scenario `placement`: which replica answers, beside four other ways to choose, on six traces.

The cluster is simulated, and the choice is the very function that the router calls. Needs no base,
no engine and no Ray. See `cluster.simulation` for what it leaves out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.bench.report import Fact, Findings, Grid
from lorabay.cluster.simulation.bounds import fixed, foreseen, in_use
from lorabay.cluster.simulation.cluster import Shape
from lorabay.cluster.simulation.moves import moved
from lorabay.cluster.simulation.plots import check_libraries, plots
from lorabay.cluster.simulation.policies import OURS, POLICIES, LeastLoaded
from lorabay.cluster.simulation.simulator import Outcome, simulate
from lorabay.cluster.simulation.traces import TRACES, Size
from lorabay.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from lorabay.bench.progress import Progress
    from lorabay.bench.settings import BenchSettings
    from lorabay.cluster.simulation.trace import Trace

REQUESTS = 50_000
"""Requests of each trace, unless the settings say otherwise."""
FILLED = 0.6
"""The part of the replicas' windows that a trace fills on average."""
LOADS_BAR, BALANCE_BAR, MOVES_BAR, MILLION_BAR_S = 0.1, 1.25, 16.0, 60.0

ABOVE_POOL = 1.1
"""Times the loads of one pool that ours may have, where those are above the bar."""

Outcomes = dict[str, dict[str, Outcome]]


@dataclass(frozen=True, slots=True)
class Bounds:
    """The loads a request that the slots alone make necessary; see `cluster.simulation.bounds`.

    `pool` is what one replica with the slots and the window of all of them comes to: what is above
    it was lost by the choice, and what is below it by eviction.
    """

    foreseen: float
    fixed: float
    in_use: float
    pool: float

    @property
    def bar(self) -> float:
        """The loads a request that ours may have."""
        return max(LOADS_BAR, ABOVE_POOL * self.pool)


def placement(settings: BenchSettings, progress: Progress) -> Findings:
    """Replay the traces in every way; raises UsageError with a URL, or for a trace that is none."""
    if settings.url is not None:
        raise UsageError("bench: scenario 'placement' simulates; leave out --url")
    unknown = [name for name in settings.traces if name not in TRACES]
    if unknown:
        raise UsageError(f"bench: no trace {unknown[0]!r}; there are {', '.join(TRACES)}")
    if settings.output is not None:
        check_libraries()

    shape = Shape(settings.replicas, settings.slots)
    size = Size(
        settings.requests or REQUESTS,
        settings.adapter_count,
        FILLED * shape.replicas * shape.window,
    )
    traces = {name: TRACES[name](size) for name in settings.traces or TRACES}
    outcomes = replay(traces, shape, progress)
    bounds = {name: bounds_of(trace, shape) for name, trace in traces.items()}

    if settings.output is not None:
        _write(outcomes, bounds, settings.output)
    return findings(traces, outcomes, bounds, shape)


def bounds_of(trace: Trace, shape: Shape) -> Bounds:
    """Return the bounds of one trace over all slots of a cluster."""
    places = shape.replicas * shape.slots
    pool = simulate(trace, LeastLoaded(0), Shape(1, places, shape.replicas * shape.window))
    return Bounds(
        foreseen(trace, places),
        fixed(trace, places),
        in_use(trace, places),
        pool.loads_per_request,
    )


def replay(traces: Mapping[str, Trace], shape: Shape, progress: Progress) -> Outcomes:
    """Return what every trace comes to, with every way to choose."""
    progress.plan(len(traces) * len(POLICIES))
    outcomes: Outcomes = {name: {} for name in traces}
    for name, trace in traces.items():
        for policy, make in POLICIES.items():
            progress.step(f"{name}: {policy}")
            outcomes[name][policy] = simulate(trace, make(0), shape)
    return outcomes


def findings(
    traces: Mapping[str, Trace], outcomes: Outcomes, bounds: Mapping[str, Bounds], shape: Shape
) -> Findings:
    """Return the figures of every way, and the bars of ours."""
    keys = next(iter(traces.values())).keys
    ours = {name: outcomes[name][OURS] for name in traces}
    requests = sum(one.requests for one in ours.values())

    facts: list[Fact] = []
    for name in traces:
        bar = bounds[name].bar
        facts.append(Fact(f"{name}: loads a request", ours[name].loads_per_request, "", bar))
        facts.append(Fact(f"{name}: busiest / mean", ours[name].imbalance, "x", BALANCE_BAR))

    moves = 100 * moved(keys, shape.replicas, shape.replicas + 1)
    seconds = sum(one.took_s for one in ours.values()) * 1e6 / requests
    facts.append(Fact("adapters that move when a replica joins", moves, "%", MOVES_BAR))
    facts.append(Fact("a million requests, simulated", seconds, "s", MILLION_BAR_S))
    return Findings(facts=tuple(facts), grids=(_grid(outcomes, bounds),))


def _grid(outcomes: Outcomes, bounds: Mapping[str, Bounds]) -> Grid:
    rows = [
        (
            name,
            policy,
            one.loads_per_request,
            bounds[name].foreseen,
            bounds[name].fixed,
            bounds[name].in_use,
            bounds[name].pool,
            one.imbalance,
            one.wait_s(50),
            one.wait_s(99),
        )
        for name, own in outcomes.items()
        for policy, one in own.items()
    ]
    headings = (
        "trace",
        "choice",
        "loads a request",
        "foreseen",
        "fixed",
        "in use",
        "one pool",
        "busiest / mean",
        "wait p50, s",
        "p99, s",
    )
    return Grid("Placement", headings, tuple(rows))


def _write(outcomes: Outcomes, bounds: Mapping[str, Bounds], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    least = {name: one.pool for name, one in bounds.items()}
    for name, content in plots(outcomes, least).items():
        (folder / name).write_bytes(content)
