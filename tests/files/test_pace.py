"""Work in short bursts beside others that are in a hurry."""

from __future__ import annotations

import pytest

from lorabay.files.pace import BURST_S, REST, Pace


class Thread:
    """Processor time that a thread has used, and how it slept."""

    def __init__(self) -> None:
        self.used_s = 100.0
        self.slept: list[float] = []

    def pace(self, *, busy: bool = True) -> Pace:
        return Pace(lambda: busy, used=lambda: self.used_s, sleep=self.slept.append)

    def work(self, seconds: float) -> None:
        self.used_s += seconds


def test_a_burst_is_followed_by_a_longer_rest() -> None:
    """However long the work has taken in all; what was used before it does not count."""
    thread = Thread()
    pace = thread.pace()
    pace.rest()
    thread.work(2 * BURST_S)
    pace.rest()
    assert thread.slept == [pytest.approx(2 * REST * BURST_S)]


def test_short_work_does_not_rest_until_it_adds_up() -> None:
    """A rest after each tensor of a small adapter would only make it late."""
    thread = Thread()
    pace = thread.pace()
    pace.rest()
    for _ in range(3):
        thread.work(0.4 * BURST_S)
        pace.rest()
    assert len(thread.slept) == 1


def test_nobody_in_a_hurry_means_no_rest() -> None:
    """An idle server loads as fast as it can."""
    thread = Thread()
    pace = thread.pace(busy=False)
    for _ in range(10):
        pace.rest()
        thread.work(BURST_S)
    assert not thread.slept
