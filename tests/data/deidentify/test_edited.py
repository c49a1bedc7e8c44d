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
    """Also if only a part of it is, or signs around it."""
    edited = Edited("ask Xavier! now", ((4, 10),))
    other = Finding("NAME", 12, 15, 1.0)
    placed = [Finding("NAME", 4, 7, 1.0), Finding("NAME", 3, 11, 1.0)]
    assert edited.others([*placed, other]) == [other]


def test_what_is_more_than_was_put_there_is_replaced_as_a_whole() -> None:
    """What is left of the earlier replacement counts as put there."""
    edited = Edited("ask Xavier Smith now", ((4, 10),))
    larger, later = Finding("NAME", 4, 16, 1.0), Finding("NAME", 8, 16, 1.0)
    assert edited.others([larger, later]) == [larger, later]
    assert edited.replaced([larger], lambda *_: "X") == Edited("ask X now", ((4, 5),))
    assert edited.replaced([later], lambda *_: "X") == Edited("ask XaviX now", ((4, 8), (8, 9)))


def test_what_stays_as_it_was_was_not_put_there() -> None:
    """So that it is found again."""
    finding = Finding("NAME", 4, 6, 1.0)
    edited = Edited("ask Bo").replaced([finding], lambda _, text: text)
    assert edited == Edited("ask Bo")
    assert edited.others([finding]) == [finding]
