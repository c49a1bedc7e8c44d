"""Names in small letters, and surnames that stand first."""

from __future__ import annotations

import pytest

from lorabay.data.recognisers.small_names import find
from tests.data.recognisers.found import found


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("my name is john castellano and i cant log in", ["john castellano"]),
        ("im sarah, again", ["sarah"]),
        ("my roommate juan carlos broke it", ["juan carlos"]),
        ("ok thx jennifer, will do", ["jennifer"]),
        ("patricia here from accounts", ["patricia"]),
        ("the reservation is under brogan fitzwilliam", ["brogan fitzwilliam"]),
        ("Okafor, Chidi is locked out", ["Okafor, Chidi"]),
        ("Claimant: Whitlock, Hannah", ["Whitlock, Hannah"]),
        ("Pemberley, Charles R. wants a copy", ["Pemberley, Charles R."]),
        ("my name is misspelled", []),
        ("im frustrated, thanks for nothing", []),
        ("will may mark the bill?", []),
        ("Hello, Sarah", []),
    ],
)
def test_a_name_needs_a_list_or_no_doubt(text: str, pieces: list[str]) -> None:
    """And a word is none."""
    assert found(find, text) == pieces
