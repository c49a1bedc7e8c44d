"""Sums of requests, and first tokens by their shares."""

from __future__ import annotations

from lorabay.api.live.sums import SAMPLES, Sums, quantile, told


def test_requests_are_summed() -> None:
    """Over all sums and their seconds; a client that left is no error."""
    one, two = Sums(), Sums()
    one.add(code=200, tokens=30, first_token_ms=100)
    one.add(code=499, tokens=10, first_token_ms=300)
    two.add(code=500, tokens=0, first_token_ms=None)
    assert told([one, two], 10) == {
        "requests": 3,
        "errors": 1,
        "tokens": 40,
        "tokens_per_s": 4.0,
        "first_token_p50_s": 0.3,
        "first_token_p99_s": 0.3,
    }


def test_nothing_has_no_first_token() -> None:
    """None, and not 0."""
    assert told([Sums()], 10)["first_token_p50_s"] is None
    assert quantile([1.0, 2.0, 3.0, 4.0], 0.99) == 4.0


def test_samples_are_bounded_and_fair() -> None:
    """A thousand requests leave as many samples as fit, from all of them."""
    sums = Sums()
    for number in range(1000):
        sums.add(code=200, tokens=1, first_token_ms=number)
    assert len(sums.first_tokens_s) == SAMPLES
    assert max(sums.first_tokens_s) > 0.5
    assert min(sums.first_tokens_s) < 0.5
