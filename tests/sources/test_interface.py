"""What is said of an adapter that a source offers."""

from __future__ import annotations

from lorabay.sources.interface import Listing, Offer, RemoteFile


def test_offers_are_equal_by_their_marks() -> None:
    """Names of files and what marks them; sizes are summed."""
    files = {"a": RemoteFile(2, "x"), "b": RemoteFile(3, "y")}
    offer = Offer("finance", files)
    assert offer.marks == {"a": "x", "b": "y"}
    assert offer.size == 5


def test_a_listing_that_shows_nothing_is_empty() -> None:
    """One that refuses something is not: the source was read."""
    assert Listing().is_empty
    assert not Listing(refused={"finance": "too large"}).is_empty
