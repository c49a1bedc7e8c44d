"""What a caller is told, in the words and headers of OpenAI's clients."""

from __future__ import annotations

import pytest

from lorabay.accounts.ledger.refusals import headers_of, refusal, too_large
from lorabay.accounts.ledger.reservation import Part, Reservation
from lorabay.accounts.ledger.scopes import Scope, ScopeKind
from lorabay.accounts.ledger.share import Share
from lorabay.accounts.ledger.tally import Reply
from lorabay.accounts.limits import Limits
from lorabay.errors import QuotaExceeded, RateLimited


def part(limit: str, most: int, *, left: int = 0, wait_s: float | None = 12.0) -> Part:
    scope = Scope(ScopeKind.KEY, "k", Limits(**{limit: most}))
    share = Share(scope.counters[0][1])
    share.report(0.0)
    share.take_up(Reply(0, 0, left, 0.0, wait_s, 75.2, True, {}))
    return Part(scope, limit, share)


def test_a_rate_is_told_with_its_time() -> None:
    """In seconds for everybody, in milliseconds for OpenAI's own clients."""
    error = refusal([part("tokens_per_minute", 600)])
    assert type(error) is RateLimited
    assert error.message == (
        "key `k` has used its 600 tokens a minute (limit `tokens_per_minute`): try again in 12s"
    )
    assert (error.status, error.code, error.retry_after) == (429, "rate_limit_exceeded", 12.0)
    assert error.headers["retry-after-ms"] == "12000"


def test_a_quota_is_not_asked_for_again() -> None:
    """The longest wait is told, and clients give up by themselves."""
    error = refusal([part("requests_per_minute", 5), part("tokens_per_day", 10, wait_s=7_000.0)])
    assert isinstance(error, QuotaExceeded)
    assert (error.code, error.retry_after) == ("insufficient_quota", 7_000.0)
    assert error.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(("wait_s", "told"), [(None, 1.0), (0.0, 0.05)])
def test_nobody_is_told_to_ask_in_vain(wait_s: float | None, told: float) -> None:
    """Where the time is not known, or over already."""
    assert refusal([part("parallel", 2, wait_s=wait_s)]).retry_after == told


def test_headers_are_those_of_the_limit_nearest_its_end() -> None:
    """One of requests, one of tokens, as far as there are limits."""
    parts = [
        part("tokens_per_minute", 600, left=500),
        part("tokens_per_day", 9_000, left=40),
        part("requests_per_minute", 10, left=3),
    ]
    assert headers_of(Reservation(parts)) == {
        "x-ratelimit-limit-requests": "10",
        "x-ratelimit-remaining-requests": "3",
        "x-ratelimit-reset-requests": "1m16s",
        "x-ratelimit-limit-tokens": "9000",
        "x-ratelimit-remaining-tokens": "40",
        "x-ratelimit-reset-tokens": "1m16s",
    }
    assert headers_of(Reservation()) == {}


def test_what_never_fits_names_limit_and_value() -> None:
    """A 400: to wait is in vain."""
    error = too_large(part("tokens_per_minute", 600), 700)
    assert error.status == 400
    assert "700 tokens" in error.message
    assert "600 (limit `tokens_per_minute`)" in error.message
