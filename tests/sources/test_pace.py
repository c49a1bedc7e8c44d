"""How fast a source is asked."""

from __future__ import annotations

import pytest

from lorabay.sources.pace import LONGEST_PAUSE_S, Pace, pause_after
from tests.sources.made import Clock


async def test_downloads_keep_to_the_rate_together() -> None:
    """Two downloads of a megabyte, at a megabyte a second, take two seconds."""
    clock = Clock()
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        clock.now += seconds

    pace = Pace(1_000_000, clock=clock, sleep=sleep)
    for _ in range(4):
        await pace.take(500_000)
    assert sum(waits) == pytest.approx(2.0)


async def test_without_a_rate_nothing_waits() -> None:
    """The link alone decides."""

    async def never(seconds: float) -> None:
        raise AssertionError(seconds)

    await Pace(sleep=never).take(1 << 40)


def test_pauses_grow_and_differ() -> None:
    """A source that fails is asked less and less, and not by all servers at the same moment."""
    longest = [pause_after(count, chance=lambda: 1.0) for count in (1, 2, 3, 4, 5, 6, 7, 50)]
    assert longest == [1, 2, 4, 8, 16, 32, 60, LONGEST_PAUSE_S]
    assert pause_after(3, chance=lambda: 0.0) == 2
