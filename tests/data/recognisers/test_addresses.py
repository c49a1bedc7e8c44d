"""Addresses of both kinds."""

from __future__ import annotations

from lorabay.data.recognisers.addresses import find, joined
from lorabay.data.recognisers.finding import Finding, Kind
from tests.data.recognisers.found import found


def test_addresses_of_both_kinds_are_found() -> None:
    """In one text."""
    text = "从221B Baker Street搬到人民路88号"
    assert found(find, text) == ["221B Baker Street", "人民路88号"]


def test_what_overlaps_is_one_address() -> None:
    """And what stands apart is two."""
    first, second = Finding(Kind.ADDRESS, 0, 6, 0.8), Finding(Kind.ADDRESS, 4, 9, 0.9)
    third = Finding(Kind.ADDRESS, 9, 12, 0.8)
    assert list(joined([third, second, first])) == [Finding(Kind.ADDRESS, 0, 9, 0.9), third]


def test_an_address_that_two_find_in_parts_is_found_whole() -> None:
    """One of them knows the door, the other what follows it."""
    text = "取件地址：松江区九亭镇涞亭南路1188弄沪亭商务楼301"
    assert found(find, text) == [text[5:]]
