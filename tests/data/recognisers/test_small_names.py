"""Names in small letters, and surnames that stand first."""

from __future__ import annotations

import pytest

from lorabay.data.recognisers.small_names import find
from lorabay.data.recognisers.view import View
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
        ("Passenger CHAN/TAI MAN MR no-show", ["CHAN/TAI MAN MR"]),
        ("PNR under OKONKWO/ADA", ["OKONKWO/ADA"]),
        ("Surname: Null, rejected", ["Null"]),
        ("tell big dave it is blocked", ["dave"]),
        ("so this is uh raymond", ["raymond"]),
        ("READ/WRITE access", []),
        ("Surname: Missing", []),
        ("my name is misspelled", []),
        ("im frustrated, thanks for nothing", []),
        ("will may mark the bill?", []),
        ("Hello, Sarah", []),
    ],
)
def test_a_name_needs_a_list_or_no_doubt(text: str, pieces: list[str]) -> None:
    """And a word is none."""
    assert found(find, text) == pieces


def test_an_answer_in_small_letters_may_be_a_name() -> None:
    """If it was asked for, and no word of it is one of the language."""
    assert [one.end for one in find(View("adaora nwachukwu", is_answer=True))] == [16]
    assert not list(find(View("i forgot that", is_answer=True)))
    assert not list(find(View("adaora nwachukwu")))
