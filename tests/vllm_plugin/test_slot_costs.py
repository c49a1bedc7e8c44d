"""The figures of `lorabay bench slots` that come from vLLM's own managers."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from lorabay.vllm_plugin import slot_costs
from lorabay.vllm_plugin.slot_costs import (
    OURS,
    STOCK,
    CountingWorker,
    copies_of_a_load,
    hits,
    lookup_ms,
    main,
)


def test_a_cold_adapter_is_copied_once_and_nothing_else(figures: list[str]) -> None:
    """vLLM copies every running adapter again, and most of them a second time."""
    stock = [copies_of_a_load(CountingWorker(STOCK), random.Random(seed)) for seed in range(50)]
    ours = [copies_of_a_load(CountingWorker(OURS), random.Random(seed)) for seed in range(50)]
    figures.append(
        f"copies for one cold adapter beside 8 running ones: vLLM {min(stock)} to {max(stock)}, "
        f"ours {max(ours)}"
    )
    assert min(stock) >= 9
    assert set(ours) == {1}


def test_more_requests_find_their_adapter_in_a_slot(figures: list[str]) -> None:
    """100 adapters over 8 slots, by Zipf's law, other favourites every minute: 5 points more."""
    stock, ours = (hits(CountingWorker(rules), random.Random(1)) for rules in (STOCK, OURS))
    figures.append(f"hits over 8 slots: {stock:.1%} by vLLM, {ours:.1%} by ours")
    assert ours >= stock + 0.05


def test_a_step_is_timed(monkeypatch: pytest.MonkeyPatch, figures: list[str]) -> None:
    """With few adapters here; nothing is asserted of times."""
    monkeypatch.setattr(slot_costs, "STEPS", 20)
    stock, ours = (lookup_ms(CountingWorker(rules), random.Random(1)) for rules in (STOCK, OURS))
    figures.append(f"a step's look-up, 8 of 1000 adapters: vLLM {stock:.3f} ms, ours {ours:.3f} ms")
    assert stock > 0
    assert ours > 0


def test_both_sides_are_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As JSON, for the bench, which may not import vLLM."""
    for name, less in (("ORDERS", 2), ("STEPS", 2), ("SECONDS", 2), ("IN_MEMORY", 20)):
        monkeypatch.setattr(slot_costs, name, less)
    main(str(tmp_path / "costs.json"), "2")
    rounds = json.loads((tmp_path / "costs.json").read_text())
    assert [set(costs) for costs in rounds] == [{"stock", "ours"}] * 2
    assert rounds[0]["ours"]["copies"] == [1, 1]
    assert set(rounds[0]["stock"]) == {"copies", "lookup_ms", "hits"}
