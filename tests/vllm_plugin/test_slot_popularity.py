"""Counts of what batches use, which fade."""

from __future__ import annotations

import pytest

from lorabay.vllm_plugin.slot_popularity import HALF_LIFE_S, USE_S, SlotPopularity
from tests.clocks import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_half_life_is_the_servers() -> None:
    """Two rings that may not import one another agree on it."""
    from lorabay.serving import popularity

    assert popularity.HALF_LIFE_S == HALF_LIFE_S


def test_a_use_counts_half_after_a_half_life(clock: Clock) -> None:
    """An adapter that comes back into a batch is used once more."""
    popularity = SlotPopularity(clock)
    for batch in ({1}, set(), {1}, set()):
        popularity.step(batch)
    assert popularity.of(1) == 2
    clock.now += HALF_LIFE_S
    assert popularity.of(1) == 1
    assert popularity.of(2) == 0


def test_many_steps_of_one_second_are_one_use(clock: Clock) -> None:
    """However fast the steps are; and an adapter that is never out of the batch counts on."""
    popularity = SlotPopularity(clock)
    for _ in range(50):
        popularity.step({1})
        clock.now += USE_S / 100
    assert popularity.of(1) == pytest.approx(1, rel=0.05)
    for _ in range(2000):
        popularity.step({1})
        clock.now += USE_S / 100
    assert popularity.of(1) > 8


def test_memory_is_bounded_by_what_was_used_lately(clock: Clock) -> None:
    """A million adapters that were used once leave nothing behind."""
    popularity = SlotPopularity(clock)
    for number in range(1000):
        popularity.step({number})
        clock.now += 1.0
    assert len(popularity._counts) <= 10 * HALF_LIFE_S + 1
