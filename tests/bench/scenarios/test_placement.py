"""Scenario `placement`: every way on every trace, with the bars of ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.bench.progress import NoProgress
from lorabay.bench.scenarios.placement import LOADS_BAR, placement
from lorabay.bench.settings import BenchSettings
from lorabay.cluster.simulation.policies import POLICIES
from lorabay.cluster.simulation.traces import TRACES
from lorabay.errors import UsageError

SMALL = {"scenario": "placement", "requests": 600, "adapter_count": 40, "replicas": 3, "slots": 8}


def test_every_way_is_replayed_on_every_trace(tmp_path: Path) -> None:
    """A row for each, bars for ours where they can be reached, and plots if they are asked for."""
    found = placement(BenchSettings(**SMALL, output=tmp_path / "plots"), NoProgress())
    (grid,) = found.grids
    assert [row[:2] for row in grid.rows] == [(one, way) for one in TRACES for way in POLICIES]
    assert all(len(row) == len(grid.headings) for row in grid.rows)

    bars = {fact.name: fact.bar for fact in found.facts}
    assert bars["zipf: busiest / mean"] == 1.25
    pools = {row[0]: row[6] for row in grid.rows}
    for name, pool in pools.items():
        assert bars[f"{name}: loads a request"] == max(LOADS_BAR, 1.1 * pool)
    assert bars["adapters that move when a replica joins"] == 16
    assert bars["a million requests, simulated"] == 60
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {
        "loads.png",
        "balance.png",
        "waits.png",
    }


def test_a_server_is_not_what_is_measured() -> None:
    with pytest.raises(UsageError, match="leave out --url"):
        placement(BenchSettings(**SMALL, url="http://127.0.0.1:1"), NoProgress())


def test_only_the_traces_that_are_named() -> None:
    """In the order in which they are named."""
    found = placement(BenchSettings(**SMALL, traces=("bursts", "zipf")), NoProgress())
    (grid,) = found.grids
    assert list(dict.fromkeys(row[0] for row in grid.rows)) == ["bursts", "zipf"]


def test_a_trace_that_is_none_is_a_mistake() -> None:
    """The message has those that there are."""
    with pytest.raises(UsageError, match="no trace 'zip'; there are zipf, bursts"):
        placement(BenchSettings(**SMALL, traces=("zip",)), NoProgress())
