"""Chinese names."""

from __future__ import annotations

import pytest

from lorabay.data.recognisers.chinese_names import find
from lorabay.data.recognisers.view import View
from tests.data.recognisers.found import found


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("你好，我叫王丽华，想退货", ["王丽华"]),
        ("收件人：欧阳娜", ["欧阳娜"]),
        ("李女士您好", ["李"]),
        ("麻烦转给孙晓婷，上次是她处理的", ["孙晓婷"]),
        ("叶青和程功一起申请的", ["叶青", "程功"]),
        ("我姓罗，叫我小罗就行", ["罗", "罗"]),
        ("昨天小雨姐帮我办的", ["小雨"]),
        ("麻烦找一下老李，他知道", ["李"]),
        ("让建国哥来一趟", ["建国"]),
        ("今天很高兴为您服务，方便的话请拍照", []),
        ("王者荣耀的皮肤没有到账", []),
        ("张开盒子以后先把电池装上", []),
        ("马上给您处理，周末也有人", []),
        ("何时发货？万一发错了怎么办", []),
    ],
)
def test_names_are_told_from_words(text: str, pieces: list[str]) -> None:
    """By what stands around them, and by how frequent the words would be."""
    assert found(find, text) == pieces


def test_an_answer_may_be_a_name_and_nothing_else() -> None:
    """A word that could be one is, if it was asked for."""
    assert not list(find(View("江河")))
    assert [one.end for one in find(View("江河", is_answer=True))] == [2]


def test_text_without_chinese_has_none() -> None:
    """It is not looked at."""
    assert list(find(View("Wang Fang"))) == []
