"""Buckets of time: what is added up together is never less than the time that a limit speaks of."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, strategies as st

from lorabay.accounts.ledger.periods import DAY, MINUTE, MONTH, PRESENT

times = st.floats(0, 4e9)


@given(times, st.floats(0, 60, exclude_max=True))
def test_a_minute_counts_for_sixty_seconds_and_hardly_longer(then: float, later: float) -> None:
    """However the moment lies in its bucket."""
    end = MINUTE.end(MINUTE.bucket(then))
    assert end > then + later
    assert end - then <= 62.001


@given(times)
def test_days_and_months_are_those_of_utc(now: float) -> None:
    """A bucket ends with its day or month, and the next one begins there."""
    moment = datetime.fromtimestamp(now, UTC)
    for period, name in ((DAY, "%Y-%m-%d"), (MONTH, "%Y-%m")):
        end = period.end(period.bucket(now))
        assert end > now
        assert period.bucket(end) == period.bucket(now) + 1
        assert f"{moment:{name}}" == f"{datetime.fromtimestamp(end - 1, UTC):{name}}"


def test_the_year_turns() -> None:
    """December's end is January's beginning."""
    december = datetime(2026, 12, 31, 23, 59, tzinfo=UTC).timestamp()
    assert MONTH.end(MONTH.bucket(december)) == datetime(2027, 1, 1, tzinfo=UTC).timestamp()


@pytest.mark.parametrize("now", [0.0, 1e9])
def test_nothing_counts_of_the_present_once_it_is_over(now: float) -> None:
    """All moments are one bucket, and it has always ended."""
    assert PRESENT.end(PRESENT.bucket(now)) <= now
