"""The learning rate climbs, and falls to nothing."""

from __future__ import annotations

import pytest

from lorabay.training.loop.rates import share_of_peak


def test_a_climb_and_half_a_cosine() -> None:
    """A tenth of the steps climbs evenly; the middle of the rest is at half, the end near zero."""
    shares = [share_of_peak(step, 100, 0.1) for step in range(100)]
    assert shares[:3] == pytest.approx([0.1, 0.2, 0.3])
    assert max(shares) == shares[9] == shares[10] == 1
    assert shares[55] == pytest.approx(0.5)
    assert shares[99] < 0.001
    assert shares[10:] == sorted(shares[10:], reverse=True)


def test_without_a_climb_the_first_step_is_at_the_peak() -> None:
    """Even where it is the only one."""
    assert share_of_peak(0, 1, 0.0) == 1
