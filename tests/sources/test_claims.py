"""Which of several sources a name belongs to."""

from __future__ import annotations

from lorabay.sources.claims import Claims


def test_the_source_that_was_named_first_has_the_name() -> None:
    """It takes over a name that a later one brought, and leaves it when it has it no longer."""
    claims = Claims(("one", "two"))
    claims.offer("two", frozenset({"finance"}))
    assert claims.owner("finance") == "two"
    claims.offer("one", frozenset({"finance"}))
    assert claims.owner("finance") == "one"
    claims.offer("one", frozenset())
    assert claims.owner("finance") == "two"


def test_a_name_stays_with_the_source_that_it_came_from() -> None:
    """Until that source was listed: it may be away, or only slower than another one."""
    claims = Claims(("one", "two"))
    claims.remember({"finance": "one", "ads": "elsewhere"})
    claims.offer("two", frozenset({"finance", "ads"}))
    assert claims.owner("finance") == "one"
    assert claims.owner("ads") == "two"
    claims.offer("one", frozenset())
    assert claims.owner("finance") == "two"


def test_a_name_is_free_when_all_have_been_asked() -> None:
    """A source that was not listed yet may have it."""
    claims = Claims(("one", "two"))
    claims.offer("one", frozenset({"ads"}))
    assert not claims.is_free("finance")
    claims.offer("two", frozenset())
    assert claims.is_free("finance")
    assert not claims.is_free("ads")


def test_a_name_that_nobody_has_belongs_to_nobody() -> None:
    """Nothing is known before a source was listed."""
    assert Claims(("one",)).owner("finance") is None
