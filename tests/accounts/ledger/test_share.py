"""What one server may spend from memory, while reports are under way."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from lorabay.accounts.ledger.periods import DAY, MINUTE, PRESENT, Period
from lorabay.accounts.ledger.share import Charge, Share
from lorabay.accounts.ledger.tally import Counter, Tally, settle

NOW = 1_000_000.0
LIMIT = 100


def counter_of(period: Period) -> Counter:
    return Counter("c", period, LIMIT)


class Meeting:
    """A share and its tally; a report may be under way while requests come and go."""

    def __init__(self, period: Period) -> None:
        self.share = Share(counter_of(period))
        self.tally: Tally = {}

    def meet(self, *needs: int) -> None:
        self.share.needs = list(needs)
        report = self.share.report(NOW)
        self.share.take_up(settle(self.tally, self.share.counter, "a", report, NOW))
        self.share.needs = []

    @property
    def total(self) -> int:
        return sum(entry.total for entry in self.tally.values())


@pytest.mark.parametrize("period", [MINUTE, DAY, PRESENT])
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(("take", "end", "meet", "begin", "done")), st.integers(0, 40)),
        max_size=30,
    )
)
def test_share_and_tally_agree_after_every_meeting(
    period: Period, steps: list[tuple[str, int]]
) -> None:
    """What requests have, and what they used, is what the tally counts; nothing else is kept."""
    meeting = Meeting(period)
    share, used = meeting.share, 0
    charges: list[Charge] = []
    under_way = None
    for step, amount in steps:
        if step == "take":
            if amount <= share.free:
                charges.append(share.take(amount))
        elif step == "end" and charges:
            charge = charges.pop()
            count = 0 if period is PRESENT else min(amount, charge.amount)
            share.settle(charge, count)
            used += count
        elif step == "begin" and under_way is None:
            share.needs = [amount]
            under_way = share.report(NOW)
        elif under_way is not None:
            share.take_up(settle(meeting.tally, share.counter, "a", under_way, NOW))
            under_way = None
        elif step == "meet":
            meeting.meet(amount)
        assert sum(charge.amount for charge in charges) + used <= LIMIT

    if under_way is not None:
        share.take_up(settle(meeting.tally, share.counter, "a", under_way, NOW))
    share.give_back()
    meeting.meet()
    meeting.meet()
    assert meeting.total == sum(charge.amount for charge in charges) + used


def test_what_waits_is_asked_for_beyond_what_is_free() -> None:
    """In the order of those who wait."""
    meeting = Meeting(MINUTE)
    meeting.meet(10)
    meeting.share.take(meeting.share.free - 5)
    meeting.share.needs = [3, 4, 6]
    assert meeting.share.report(NOW).needs == (0, 2, 6)


def test_a_share_with_nothing_can_be_dropped() -> None:
    """Once its buckets have ended, and the store has heard of all."""
    meeting = Meeting(MINUTE)
    share = meeting.share
    assert share.is_empty
    meeting.meet(10)
    share.settle(share.take(10), 10)
    share.give_back()
    meeting.meet()
    assert not share.is_empty
    share.take_up(settle(meeting.tally, share.counter, "a", share.report(NOW), NOW + 63))
    assert share.is_empty


def test_a_share_is_kept_while_a_request_runs_on_it() -> None:
    """Bug: the end of a long answer was told to a share that nobody reports any more."""
    meeting = Meeting(MINUTE)
    share = meeting.share
    meeting.meet(10)
    charge = share.take(10)
    share.give_back()
    meeting.meet()
    share.take_up(settle(meeting.tally, share.counter, "a", share.report(NOW), NOW + 63))
    assert not share.is_empty
    share.settle(charge, 30)
    share.take_up(settle(meeting.tally, share.counter, "a", share.report(NOW), NOW + 64))
    assert meeting.total == 20
