"""Addresses in Latin letters."""

from __future__ import annotations

import pytest

from lorabay.data.recognisers.english_addresses import find
from tests.data.recognisers.found import found


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        (
            "Ship to 742 Evergreen Terrace, Springfield, IL 62704.",
            ["742 Evergreen Terrace, Springfield, IL 62704"],
        ),
        ("It is Flat 12, 40 Queen's Road on the left", ["Flat 12, 40 Queen's Road"]),
        ("14 Church Hill, Bath BA1 5EH is blocked", ["14 Church Hill, Bath BA1 5EH"]),
        ("at Top floor, 9 Leith Walk, Edinburgh", ["Top floor, 9 Leith Walk, Edinburgh"]),
        ("i live at 1104 ash street now", ["1104 ash street"]),
        (
            "991 Lewis Trafficway Apt. 146, Wrightton, HI 37458",
            ["991 Lewis Trafficway Apt. 146, Wrightton, HI 37458"],
        ),
        ("12 Rue de la Paix, 75002 Paris", ["12 Rue de la Paix, 75002 Paris"]),
        ("Section 7 Road safety rules apply", []),
        ("There are 12 Drive letters", []),
        ("you earn 1 Tide Point per euro", []),
        ("take 2 Way Tickets", []),
    ],
)
def test_an_address_is_found_as_a_whole(text: str, pieces: list[str]) -> None:
    """A number with a word is none."""
    assert found(find, text) == pieces
