"""Sentences that a person fits into."""

from __future__ import annotations

import pytest

from lorabay.data.recognisers.english_frames import (
    ENOUGH,
    LAST,
    SIGNED,
    SIGNS,
    gain_after,
    gain_before,
)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Let ", " know that I paid"),
        ("", " is out of office"),
        ("I dealt with ", " on chat"),
        ("Could ", " ring me back?"),
        ("Owner: ", ""),
        ("", "'s laptop won't boot"),
        ("Sorry to hear that, ", ". Let me check."),
    ],
)
def test_a_person_fits(before: str, after: str) -> None:
    """What stands on both sides says it, or one side and the look of a name."""
    assert gain_before(before) + gain_after(after) >= ENOUGH - 1


@pytest.mark.parametrize(
    ("before", "after"),
    [("", " costs more"), ("I bought ", " shoes"), ("- ", " can be raised"), ("Update ", " first")],
)
def test_a_thing_fits_elsewhere(before: str, after: str) -> None:
    """Nothing says that a person is meant."""
    assert gain_before(before) + gain_after(after) < ENOUGH - 1


def test_a_letter_is_signed_in_its_last_line() -> None:
    """A dash at the beginning of any other line signs nothing."""
    assert SIGNED.search("Please reply.\nKind regards,\n")
    assert SIGNS.search("See you.\n- ")
    assert LAST.match("Rufus", 5)
    assert not LAST.match("Heron costs more", 5)
