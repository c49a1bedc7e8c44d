"""A text in which findings are replaced."""

from __future__ import annotations

from lorabay.data.deidentify.edited import Edited
from lorabay.data.recognisers.finding import Finding


def test_places_move_with_the_text() -> None:
    """Of what was put there in an earlier round."""
    first = Edited("ask Bo or Anna").replaced([Finding("NAME", 10, 14, 1.0)], lambda *_: "X")
    assert (first.text, first.placed) == ("ask Bo or X", ((10, 11),))

    second = first.replaced([Finding("NAME", 4, 6, 1.0)], lambda *_: "[NAME]")
    assert second.text == "ask [NAME] or X"
    assert [second.text[start:end] for start, end in second.placed] == ["[NAME]", "X"]


def test_what_was_put_there_is_not_found_again() -> None:
    """Also if only a part of it is."""
    edited = Edited("ask Xavier now", ((4, 10),))
    other = Finding("NAME", 11, 14, 1.0)
    assert edited.others([Finding("NAME", 4, 7, 1.0), other]) == [other]
