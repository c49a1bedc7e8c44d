"""Failed logins slow down whoever guesses, and nobody else."""

from __future__ import annotations

import pytest

from lorabay.api.console.attempts import ADDRESSES, MOST, WINDOW_S, Attempts
from lorabay.errors import RateLimited
from tests.clocks import Clock


def test_too_many_failures_in_a_minute_have_to_wait() -> None:
    """Until the oldest of them is a minute old; another address need not."""
    clock = Clock()
    attempts = Attempts(clock)
    for _ in range(MOST):
        attempts.check("1.2.3.4")
        attempts.note_failure("1.2.3.4")

    with pytest.raises(RateLimited, match="try again in 60 s") as refused:
        attempts.check("1.2.3.4")
    assert refused.value.retry_after == WINDOW_S
    attempts.check("5.6.7.8")
    clock.now = WINDOW_S
    attempts.check("1.2.3.4")


def test_addresses_are_bounded() -> None:
    """A flood from everywhere takes no memory; who failed longest ago is forgotten."""
    attempts = Attempts(Clock())
    for _ in range(MOST):
        attempts.note_failure("first")
    for number in range(ADDRESSES):
        attempts.note_failure(f"address {number}")
    attempts.check("first")
