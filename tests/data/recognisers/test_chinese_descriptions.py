"""Chinese places that are told rather than written."""

from __future__ import annotations

import pytest

from lorabay.data.recognisers.chinese_descriptions import find
from lorabay.data.recognisers.view import View
from tests.data.recognisers.found import found


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("来信寄北京市128信箱5分箱", ["北京市128信箱5分箱"]),
        ("信寄到32138部队", ["32138部队"]),
        ("在第八师143团5连", ["第八师143团5连"]),
        ("沪宁高速镇江段K213+500处追尾", ["沪宁高速镇江段K213+500处"]),
        ("环城南路加油站往东200米", ["环城南路加油站往东200米"]),
        ("供销社后面那个红砖房，到了打电话", ["供销社后面那个红砖房"]),
        ("送到菜市场旁边那栋黄色的楼", ["菜市场旁边那栋黄色的楼"]),
        ("我住村口第三家", ["村口第三家"]),
        ("往里走，左手第二个巷子最里面那家", ["左手第二个巷子最里面那家"]),
        ("回老家赣州于都过年", ["赣州于都"]),
        ("5号信箱是什么意思", []),
        ("村口超市卖不卖电池", []),
        ("高速上能用ETC吗", []),
        ("去赣州于都的车票", []),
    ],
)
def test_a_told_place_is_found(text: str, pieces: list[str]) -> None:
    """And what has no place of its own is not."""
    assert found(find, text) == pieces


def test_a_building_is_an_answer() -> None:
    """If it was asked where somebody lives."""
    assert [one.end for one in find(View("27栋", is_asked_where=True))] == [3]
    assert not list(find(View("27栋")))
