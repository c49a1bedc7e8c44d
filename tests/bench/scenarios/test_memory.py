"""Scenario `memory` with small servers."""

from __future__ import annotations

from collections.abc import Callable

from lorabay.bench.progress import NoProgress
from lorabay.bench.scenarios.memory import measure_memory
from lorabay.bench.settings import BenchSettings


def test_the_difference_of_both_sides_is_compared_with_the_slots(
    launch_fake: Callable[..., Callable[[int], list[str]]],
) -> None:
    """Two equal servers differ by little of a large size."""
    settings = BenchSettings(rounds=2, start_timeout_s=60)
    findings = measure_memory(launch_fake("a"), launch_fake("a"), 1 << 30, settings, NoProgress())
    assert [start.side for start in findings.starts] == ["bare base", "lorabay"] * 2
    *facts, ratio = findings.facts
    assert [fact.unit for fact in facts] == ["MiB"] * 3
    assert facts[0].value > 5
    assert ratio.bar == 1.5
    assert abs(ratio.value) < 0.1
