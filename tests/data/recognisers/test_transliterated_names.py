"""Names in Chinese characters that are not Chinese."""

from __future__ import annotations

import pytest

from lorabay.data.recognisers.transliterated_names import find
from tests.data.recognisers.found import found


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("阿依古丽·买买提的快递", ["阿依古丽·买买提"]),
        ("安娜·伊万诺娃想退款", ["安娜·伊万诺娃"]),
        ("扎西多吉的订单", ["扎西多吉"]),
        ("我叫玛丽亚", ["玛丽亚"]),
        ("联系人：巴特尔", ["巴特尔"]),
        ("维克托·雨果教授的讲座", ["维克托·雨果"]),
        ("约翰·史密斯、伊丽莎白·泰勒", ["约翰·史密斯", "伊丽莎白·泰勒"]),
        ("联系人：买买提江", ["买买提江"]),
        ("玛丽黛佳的口红", []),
        ("龙湖·天街几点开门", []),
    ],
)
def test_names_are_known_by_their_form_or_by_what_stands_around(
    text: str, pieces: list[str]
) -> None:
    """A name of the list alone is a word."""
    assert found(find, text) == pieces
