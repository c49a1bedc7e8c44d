"""Names of which a part is hidden."""

from __future__ import annotations

import pytest

from lorabay.data.recognisers.masked_names import find
from tests.data.recognisers.found import found


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("收货人 王*明 改了", ["王*明"]),
        ("名单：周*琴、吴**、郑*", ["周*琴", "吴**", "郑*"]),
        ("客户张*的手机", ["张*"]),
        ("刘某与赵某某争执", ["刘某", "赵某某"]),
        ("陈X的医保卡", ["陈X"]),
        ("Customer J. D** called", ["J. D**"]),
        ("cardholder M*** Okafor", ["M*** Okafor"]),
        ("满300减*元", []),
        ("密码显示成**", []),
        ("对于某些人", []),
        ("what the f*** is this", []),
    ],
)
def test_a_mask_counts_beside_a_part_of_a_name(text: str, pieces: list[str]) -> None:
    """And stars alone are none."""
    assert found(find, text) == pieces
