"""Plots of simulations are PNGs."""

from __future__ import annotations

import pytest

from lorabay.cluster.simulation.cluster import Shape
from lorabay.cluster.simulation.plots import check_libraries, plots
from lorabay.cluster.simulation.policies import POLICIES
from lorabay.cluster.simulation.simulator import simulate
from lorabay.cluster.simulation.traces import Size, zipf
from lorabay.errors import SetupError


def test_a_simulation_has_three_plots() -> None:
    """Loads, balance and waits."""
    shape = Shape(replicas=2, slots=4, window=8)
    made = zipf(Size(300, 20, at_once=8))
    outcomes = {name: simulate(made, make(0), shape) for name, make in POLICIES.items()}
    drawn = plots({"zipf": outcomes}, {"zipf": 0.2})
    assert set(drawn) == {"loads.png", "balance.png", "waits.png"}
    assert all(content.startswith(b"\x89PNG") for content in drawn.values())


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lorabay.cluster.simulation.plots.find_spec", lambda name: None)
    with pytest.raises(SetupError, match="matplotlib"):
        check_libraries()
