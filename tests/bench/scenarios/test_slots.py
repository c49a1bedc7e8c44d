"""Scenario `slots`: what is shown of either side, and which bars it has."""

from __future__ import annotations

from typing import Any

import pytest

from lorabay.bench.progress import NoProgress
from lorabay.bench.scenarios import slots as scenario
from lorabay.bench.scenarios.slots import OURS, STOCK, slot_findings, slots
from lorabay.bench.settings import BenchSettings
from lorabay.errors import UsageError


def costs(copies: list[int], lookup_ms: float, hits: float) -> dict[str, Any]:
    return {"copies": copies, "lookup_ms": lookup_ms, "hits": hits}


def test_both_sides_stand_beside_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each figure of stock vLLM has ours behind it, and ours have the bars."""
    rounds = [
        {"stock": costs([9, 11], 4.0, 0.35), "ours": costs([1, 1], 0.02, 0.45)},
        {"stock": costs([10, 9], 6.0, 0.33), "ours": costs([1, 1], 0.04, 0.46)},
    ]
    monkeypatch.setattr(scenario, "measure_costs", lambda count: rounds[:count])
    found = slots(BenchSettings(rounds=2), NoProgress())
    sides = [fact.name.rpartition(", ")[2] for fact in found.facts]
    assert sides == [STOCK, OURS] * 4
    assert [fact.bar for fact in found.facts if fact.name.endswith(STOCK)] == [None] * 4
    assert [fact.value for fact in found.facts[:4]] == [11, 1, 5.0, pytest.approx(0.03)]
    (more_hits,) = found.comparisons
    assert more_hits.values == (pytest.approx(10), pytest.approx(13))
    assert more_hits.passed
    assert all(fact.passed for fact in found.facts)


def test_a_second_copy_misses_the_bar() -> None:
    """So does a wait of more than two requests."""
    round_ = {"stock": costs([9], 4.0, 0.35), "ours": costs([1, 2], 0.02, 0.45)}
    found = slot_findings([round_], {STOCK: 100.0, OURS: 2.5})
    assert [fact.name for fact in found.facts if not fact.passed] == [
        f"{scenario.COPIES}, {OURS}",
        f"{scenario.WAIT}, {OURS}",
    ]


def test_a_server_is_not_what_is_measured() -> None:
    with pytest.raises(UsageError, match="leave out --url"):
        slots(BenchSettings(url="http://127.0.0.1:1"), NoProgress())
