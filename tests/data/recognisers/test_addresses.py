"""Addresses of both kinds."""

from __future__ import annotations

from lorabay.data.recognisers.addresses import find
from tests.data.recognisers.found import found


def test_addresses_of_both_kinds_are_found() -> None:
    """In one text."""
    text = "从221B Baker Street搬到人民路88号"
    assert found(find, text) == ["221B Baker Street", "人民路88号"]
