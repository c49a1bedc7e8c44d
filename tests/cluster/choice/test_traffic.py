"""What part of the traffic adapters have."""

from __future__ import annotations

import pytest

from lorabay.cluster.choice.traffic import Traffic


def test_shares_follow_what_is_asked_for() -> None:
    """Three of four requests are a share of three quarters; nobody's is none."""
    traffic = Traffic()
    for number in range(4000):
        traffic.note("rare" if number % 4 == 0 else "often", number * 0.001)
    assert traffic.share("often") == pytest.approx(0.75, abs=0.01)
    assert traffic.share("rare") == pytest.approx(0.25, abs=0.01)
    assert traffic.share("never") == 0


def test_a_request_counts_half_after_its_half_life() -> None:
    traffic = Traffic(half_life_s=30)
    traffic.note("old", 100)
    traffic.note("new", 130)
    assert traffic.share("old") == pytest.approx(1 / 3)


def test_the_past_is_forgotten() -> None:
    """After weeks nothing overflows, and what nobody asks for takes no memory."""
    traffic = Traffic(half_life_s=30)
    for number in range(1000):
        traffic.note(f"once {number}", 0)
    for hour in range(24 * 21):
        traffic.note("live", hour * 3600.0)
    assert traffic.share("live") == pytest.approx(1)
    assert len(traffic) == 1


def test_nothing_has_come_yet() -> None:
    assert Traffic().share("any") == 0
