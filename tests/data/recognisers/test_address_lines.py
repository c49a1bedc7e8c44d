"""Chinese addresses that go on in the line before or after."""

from __future__ import annotations

import pytest

from lorabay.data.recognisers.addresses import find
from tests.data.recognisers.found import found


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("改一下\n浙江省台州市温岭市\n泽国镇丹崖路88号", ["浙江省台州市温岭市\n泽国镇丹崖路88号"]),
        (
            "天津市滨海新区\n泰达第三大街51号\nW5-A座7层",
            ["天津市滨海新区\n泰达第三大街51号\nW5-A座7层"],
        ),
        ("你好\n泽国镇丹崖路88号\n谢谢", ["泽国镇丹崖路88号"]),
        ("浙江省台州市的天气\n送泽国镇丹崖路88号", ["泽国镇丹崖路88号"]),
    ],
)
def test_a_line_belongs_if_it_holds_nothing_else(text: str, pieces: list[str]) -> None:
    """Regions above, and a building below."""
    assert found(find, text) == pieces
