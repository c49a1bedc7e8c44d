"""What stands in place of a finding."""

from __future__ import annotations

from lorabay.data.deidentify.keys import Key
from lorabay.data.deidentify.replacing import surrogates, tag


def test_a_tag_says_the_kind() -> None:
    """And nothing of what stood there."""
    assert tag("NAME", "王芳") == "[NAME]"


def test_a_kind_of_ones_own_is_drawn_letter_by_letter() -> None:
    """The same each time."""
    replace = surrogates(Key(b"0123456789abcdef"))
    made = replace("STAFF_ID", "EMP-1234")
    assert made == surrogates(Key(b"0123456789abcdef"))("STAFF_ID", "EMP-1234")
    assert made != "EMP-1234"
    assert made[3] == "-"


def test_what_no_surrogate_can_be_made_of_has_a_tag() -> None:
    """Letters that are not drawn anew, and a value too short to have another."""
    replace = surrogates(Key(b"0123456789abcdef"))
    assert replace("DEPARTMENT", "采购三科") == "[DEPARTMENT]"
    assert replace("DEPARTMENT", "采购3科") == "[DEPARTMENT]"
    assert replace("PHONE", "110") == "[PHONE]"
