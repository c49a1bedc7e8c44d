"""Chinese identity cards."""

from __future__ import annotations

import pytest

from lorabay.data.recognisers import identity_cards
from tests.data.recognisers.found import found


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("身份证11010519491231002X核实", ["11010519491231002X"]),
        ("１１０１０５１９４９１２３１００２Ｘ", ["１１０１０５１９４９１２３１００２Ｘ"]),
        ("110105 19491231 002x", ["110105 19491231 002x"]),
        ("一一零一零五一九四九一二三一零零二X", ["一一零一零五一九四九一二三一零零二X"]),
        ("订单110105194912310021的", []),
        ("身份证110105194912310021", ["110105194912310021"]),
        ("身份证号130503670401001", ["130503670401001"]),
        ("编码130503670401001", []),
    ],
)
def test_a_card_is_found_by_its_check_digit(text: str, pieces: list[str]) -> None:
    """A wrong digit counts where it is called a card, and so does a card of fifteen digits."""
    assert found(identity_cards.find, text) == pieces
