"""The arithmetic of one limit that servers share."""

from __future__ import annotations

from hypothesis import given, strategies as st

from lorabay.accounts.ledger.periods import DAY, MINUTE, PRESENT
from lorabay.accounts.ledger.tally import (
    LEASE_S,
    OTHERS,
    Counter,
    Entry,
    Report,
    Tally,
    decode,
    encode,
    part_of,
    settle,
)

TOKENS = Counter("key:k:tokens_per_minute", MINUTE, 100)
RUNNING = Counter("key:k:parallel", PRESENT, 4)
TODAY = Counter("key:k:tokens_per_day", DAY, 100)
NOW = 1_000_000.0

amounts = st.integers(0, 60)
entries = st.builds(
    Entry,
    amounts,
    st.sampled_from((NOW - 1, NOW + 5)),
    st.dictionaries(st.integers(499_960, 500_003), amounts, max_size=4),
)
reports = st.builds(
    Report,
    amounts,
    st.dictionaries(st.integers(499_960, 500_000), amounts, max_size=3),
    amounts,
    st.lists(amounts, max_size=4),
)


@given(st.dictionaries(st.sampled_from("abc"), entries), reports)
def test_nothing_is_given_beyond_the_limit(tally: Tally, report: Report) -> None:
    """What a server says of itself is taken; what it gets on top is within what is left."""
    reply = settle(tally, TOKENS, "a", report, NOW)
    total = sum(entry.total for entry in tally.values())
    assert reply.given == 0 or total <= TOKENS.limit
    assert reply.left == TOKENS.limit - total
    assert reply.given >= report.needs[0] if report.needs and reply.given else True


@given(st.dictionaries(st.sampled_from("abc"), entries), reports)
def test_the_same_report_again_changes_nothing(tally: Tally, report: Report) -> None:
    """An answer that was lost is had by asking again; what was given the first time is not given
    twice.
    """
    first = settle(tally, TOKENS, "a", report, NOW)
    again = settle(tally, TOKENS, "a", report, NOW)
    assert (again.given, again.left, again.bucket) == (first.given, first.left, first.bucket)


def test_a_dead_server_may_have_spent_what_it_held() -> None:
    """Within the minute; what it ran has ended with it."""
    tally: Tally = {}
    settle(tally, TOKENS, "a", Report(needs=(60,)), NOW)
    running: Tally = {}
    settle(running, RUNNING, "a", Report(needs=(3,)), NOW)

    later = NOW + LEASE_S
    assert settle(tally, TOKENS, "b", Report(needs=(60,)), later).given == 0
    assert settle(running, RUNNING, "b", Report(needs=(4,)), later).given == 4
    assert settle(tally, TOKENS, "b", Report(needs=(100,)), later + 62.0).given == 100
    assert "a" not in tally


def test_ahead_is_given_only_of_plenty() -> None:
    """As long as half of the limit is left to others."""
    tally: Tally = {}
    assert settle(tally, TOKENS, "a", Report(needs=(10,)), NOW).given == 22
    assert settle(tally, TOKENS, "a", Report(held=22, needs=(20,)), NOW).given == 28
    assert settle(tally, TOKENS, "a", Report(held=50, needs=(20,)), NOW).given == 20


def test_a_clock_that_was_set_back_closes_nothing() -> None:
    """What was used in the future counts from now, and a minute long."""
    tally: Tally = {}
    settle(tally, TOKENS, "a", Report(fresh=100), NOW + 3_600)
    assert settle(tally, TOKENS, "b", Report(needs=(1,)), NOW).given == 0
    assert settle(tally, TOKENS, "b", Report(needs=(1,)), NOW + 62).given > 0


def test_the_wait_is_that_of_the_bucket_that_makes_room() -> None:
    """The first that ends may not be enough."""
    tally = {"b": Entry(0, NOW + 5, {499_980: 10, 499_990: 50, 500_000: 40})}
    reply = settle(tally, TOKENS, "a", Report(needs=(30,)), NOW)
    assert reply.wait_s == MINUTE.end(499_990) - NOW
    assert reply.reset_s == MINUTE.end(500_000) - NOW


@given(st.dictionaries(st.text(max_size=5), entries))
def test_a_tally_is_read_as_it_was_written(tally: Tally) -> None:
    """Also with entries that have nothing."""
    assert decode(encode(tally)) == tally


def test_a_part_of_a_minute_is_full_at_first() -> None:
    """Others may have used it all; of a day each takes its part of what they had."""
    part = part_of(TOKENS, {}, "a", 2, NOW)
    assert settle(part, TOKENS, "a", Report(needs=(1,)), NOW + 59).given == 0
    assert settle(part, TOKENS, "a", Report(needs=(100,)), NOW + 62).given == 100

    running = part_of(RUNNING, {}, "a", 2, NOW)
    assert settle(running, RUNNING, "a", Report(needs=(1,)), NOW + 59).given == 0
    assert settle(running, RUNNING, "a", Report(needs=(4,)), NOW + 61).given == 4

    day = int(NOW // 86_400)
    heard = {"a": Entry(spent={day: 7}), "b": Entry(held=5, spent={day: 21})}
    assert part_of(TODAY, heard, "a", 2, NOW)["b"].total == 3 + 11
    assert OTHERS not in part_of(TODAY, heard, "a", 2, NOW)
