"""Phone numbers of several countries, however they are written."""

from __future__ import annotations

import pytest

from lorabay.data.recognisers import phones
from tests.data.recognisers.found import found


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("手机号是13812345678谢谢", ["13812345678"]),
        ("打１３９１２３４５６７８找我", ["１３９１２３４５６７８"]),
        ("号码一三八零零一三八零零零，记一下", ["一三八零零一三八零零零"]),
        ("幺三八零零幺三八零零零", ["幺三八零零幺三八零零零"]),
        ("tel 138 1234 5678 or 139-1234-5678", ["138 1234 5678", "139-1234-5678"]),
        ("1 3 8 1 2 3 4 5 6 7 8", ["1 3 8 1 2 3 4 5 6 7 8"]),
        ("+86 186-2233-4455", ["+86 186-2233-4455"]),
        ("座机010-62785544转802", ["010-62785544转802"]),
        ("+44 20 7946 0958 or +1 650-253-0000", ["+44 20 7946 0958", "+1 650-253-0000"]),
        ("我的电话+44 20 7946 0958在国外", ["+44 20 7946 0958"]),
        ("my cell is 650.253.0000, thanks", ["650.253.0000"]),
        ("Phone: 6502530000", ["6502530000"]),
        ("I paid 6502530000 for it", []),
        ("热线400-820-8820打不通，95588也是", []),
        ("20261105123456789012345", []),
        ("1381234567 is too short", []),
        ("1.13812345678", []),
    ],
)
def test_a_number_is_found_as_it_stands_and_others_are_not(text: str, pieces: list[str]) -> None:
    """Spaces, dashes, width, Chinese numerals and a country in front are all the same."""
    assert found(phones.find, text) == pieces
