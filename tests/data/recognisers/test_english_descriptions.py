"""Places in English that are told rather than written."""

from __future__ import annotations

import pytest

from lorabay.data.recognisers.english_descriptions import find
from tests.data.recognisers.found import found


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("it's forty-two Birch Avenue", ["forty-two Birch Avenue"]),
        ("at one two three Maple Drive", ["one two three Maple Drive"]),
        ("the light at Oak St & 3rd Ave is out", ["Oak St & 3rd Ave"]),
        ("Crash at Fifth and Main", ["Fifth and Main"]),
        ("broke down on the A46 near Bidford", ["the A46 near Bidford"]),
        ("I-80 westbound, mile marker 112", ["I-80 westbound, mile marker 112"]),
        ("mobile home on County Road 218", ["County Road 218"]),
        ("the 400 block of Larkin Street", ["the 400 block of Larkin Street"]),
        ("near 23 and 25 Parsons Row", ["23 and 25 Parsons Row"]),
        ("it's the yellow house behind the church", ["the yellow house behind the church"]),
        ("the blue door on Walton Street", ["Walton Street"]),
        ("outside number 62, the door on Mill Road", ["number 62", "Mill Road"]),
        ("Fifth and Final reminder", []),
        ("the 400 block error again", []),
        ("behind the paywall", []),
        ("one two three testing", []),
        ("the shop on Regent Street sells it", []),
    ],
)
def test_a_told_place_is_found(text: str, pieces: list[str]) -> None:
    """And words that are said of places alone are not."""
    assert found(find, text) == pieces
