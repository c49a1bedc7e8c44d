"""Names of both kinds."""

from __future__ import annotations

from lorabay.data.recognisers.names import find
from tests.data.recognisers.found import found


def test_names_of_both_kinds_are_found() -> None:
    """In one text."""
    assert found(find, "我叫王丽华，英文名Jessica") == ["王丽华", "Jessica"]
