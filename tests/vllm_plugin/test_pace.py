"""Loads in short bursts beside the engine's steps."""

from __future__ import annotations

import pytest

from lorabay.vllm_plugin.pace import BURST_S, FIRST_S, IDLE_S, REST, RHYTHM, Pace, Steps


class Clocks:
    """Time, processor time of a thread, and how it slept."""

    def __init__(self) -> None:
        self.now = self.used_s = 10.0
        self.slept: list[float] = []
        self.steps = Steps(lambda: self.now)
        self.pace = Pace(self.steps, used=lambda: self.used_s, sleep=self.slept.append)

    def work(self, seconds: float) -> None:
        self.used_s += seconds
        self.pace.rest()


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


def test_beside_steps_a_burst_is_followed_by_a_longer_rest(clocks: Clocks) -> None:
    """So one step meets a small part of a load."""
    clocks.steps.note()
    clocks.work(BURST_S)
    clocks.work(0.4 * BURST_S)
    assert clocks.slept == [pytest.approx(REST * BURST_S)]


def test_without_steps_a_load_does_not_rest(clocks: Clocks) -> None:
    """Before the first one, and when the last stream has ended."""
    clocks.work(BURST_S)
    clocks.steps.note()
    clocks.now += FIRST_S
    clocks.work(BURST_S)
    assert not clocks.slept


def test_the_next_step_is_expected_by_the_rhythm_of_the_last(clocks: Clocks) -> None:
    """Long steps have long intervals; a stream that ends holds a load up for one of its steps."""
    for _ in range(3):
        clocks.now += 0.9 * IDLE_S
        clocks.steps.note()
    clocks.now += 0.9 * RHYTHM * 0.9 * IDLE_S
    assert clocks.steps.are_running()
    clocks.now += 0.2 * RHYTHM * 0.9 * IDLE_S
    assert not clocks.steps.are_running()
