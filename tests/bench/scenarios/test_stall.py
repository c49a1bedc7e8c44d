"""Scenario `stall` with a small server that follows a directory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lorabay.bench.progress import NoProgress
from lorabay.bench.report import Fact
from lorabay.bench.scenarios.stall import STEADY, LoadSpan, measure_stall, stall_facts
from lorabay.bench.settings import BenchSettings
from lorabay.bench.synthetic_adapters import Publisher
from lorabay.bench.transcript import Answer
from lorabay.errors import SetupError


def test_every_draft_is_loaded_beside_running_streams(
    publisher: Publisher, launch_following: Callable[[Path], Callable[[int], list[str]]]
) -> None:
    """The streams never fail, and each load is timed until the server lists the adapter."""
    root = publisher.root
    publisher.kind.write(root / "adapters" / STEADY, 0)
    for number in (1, 2):
        publisher.kind.write(root / "drafts" / f"large-{number}", number)
    settings = BenchSettings(start_timeout_s=60)
    size = Fact("size of the adapter", 1.0, "MiB")
    findings = measure_stall(
        launch_following(root / "adapters"), root, size, settings, NoProgress(), pause_s=0
    )

    assert sorted(path.name for path in (root / "adapters").iterdir()) == [
        "large-1",
        "large-2",
        STEADY,
    ]
    assert not findings.runs[0].stats.failures

    facts = {fact.name: fact for fact in findings.facts}
    assert facts["rename to served, median"].value > 0
    assert facts["longest during a load / median, median of loads"].bar == 2.0


def test_the_longest_pause_of_each_load_counts() -> None:
    """Pauses between loads give the usual one; the bar is on the median of the loads' longest."""
    steady = Answer(0.0, (0.0, 0.1, 0.2, 0.3, 0.6, 0.7, 0.8, 1.2, 1.3), 1, 9)
    facts = {
        fact.name: fact.value
        for fact in stall_facts([steady], [LoadSpan(0.35, 0.5), LoadSpan(0.85, 1.1)])
    }
    assert facts["between two tokens, no load, median"] == pytest.approx(100)
    assert facts["between two tokens, before a load, longest, median"] == pytest.approx(350)
    assert facts["between two tokens, during a load, longest of all"] == pytest.approx(400)
    assert facts["longest during a load / median, median of loads"] == pytest.approx(3.5)


def test_no_prompts_are_read_in_the_time_before_a_load() -> None:
    """However long the load takes: new answers begin two seconds before it, and take a moment."""
    assert LoadSpan(10.0, 14.0).before == LoadSpan(8.5, 10.0)
    assert LoadSpan(10.0, 10.5).before == LoadSpan(9.5, 10.0)


def test_a_load_without_tokens_beside_it_is_no_measurement() -> None:
    """Streams that ended before a load are an error, not a figure."""
    with pytest.raises(SetupError, match="no tokens"):
        stall_facts([Answer(0.0, (0.0, 0.1), 1, 2)], [LoadSpan(5.0, 6.0)])
