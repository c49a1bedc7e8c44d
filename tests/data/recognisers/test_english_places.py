"""Places in Latin letters that have no number and street."""

from __future__ import annotations

import pytest

from lorabay.data.recognisers.english_places import find
from lorabay.data.recognisers.view import View
from tests.data.recognisers.found import found


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("send to P.O. Box 4471, Boise, ID 83701", ["P.O. Box 4471, Boise, ID 83701"]),
        ("my zip is 94107", ["94107"]),
        ("postcode M1 4BT, is fibre available?", ["M1 4BT"]),
        ("Rose Cottage, Mill Lane, Bath", ["Rose Cottage, Mill Lane, Bath"]),
        ("meet at the corner of 5th and Pine", ["the corner of 5th and Pine"]),
        ("Unit 7 of the course, Level 8 unlocked", []),
        ("order 94107, code 30309", []),
        ("the corner of the box is bent", []),
    ],
)
def test_a_place_is_found_as_a_whole(text: str, pieces: list[str]) -> None:
    """A number that is not called a code is none."""
    assert found(find, text) == pieces


def test_an_answer_may_be_a_code_and_nothing_else() -> None:
    """If it was asked for."""
    assert not list(find(View("30361")))
    assert [one.end for one in find(View("30361", is_asked_where=True))] == [5]
