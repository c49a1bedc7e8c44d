"""The parts of a reservation, which may have been taken in several pieces."""

from __future__ import annotations

import pytest

from lorabay.accounts.ledger.periods import MINUTE
from lorabay.accounts.ledger.reservation import Part
from lorabay.accounts.ledger.scopes import Scope, ScopeKind
from lorabay.accounts.ledger.share import Share
from lorabay.accounts.ledger.tally import Counter, Reply
from lorabay.accounts.limits import Limits

COUNTER = Counter("c", MINUTE, 100)


@pytest.fixture
def part() -> Part:
    """A part of ten and of twenty, of a hundred."""
    share = Share(COUNTER)
    share.report(0.0)
    share.take_up(Reply(0, 100, 0, 0.0, None, 0.0, True, {}))
    made = Part(
        Scope(ScopeKind.KEY, "k", Limits(tokens_per_minute=100)), "tokens_per_minute", share
    )
    for amount in (10, 20):
        made.charges.append(share.take(amount))
    return made


@pytest.mark.parametrize(("amount", "left"), [(30, [10, 20]), (25, [10, 15]), (4, [4, 0])])
def test_what_was_taken_last_is_given_back_first(part: Part, amount: int, left: list[int]) -> None:
    """What came first is let through the longest."""
    part.shrink(amount)
    assert [charge.amount for charge in part.charges] == left
    assert part.share.free == 100 - amount


@pytest.mark.parametrize("used", [0, 5, 10, 25, 30, 45])
def test_what_was_used_counts_and_nothing_else(part: Part, used: int) -> None:
    """Also if it is more than was reserved."""
    part.settle(used)
    assert part.share.free == 100 - used
    part.settle(99)
    assert part.share.free == 100 - used
