"""Chinese places that have no door."""

from __future__ import annotations

import pytest

from lorabay.data.recognisers.chinese_places import find
from tests.data.recognisers.found import found


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("我在解放路和人民路交叉口等车", ["解放路和人民路交叉口"]),
        ("邮编是518057，谢谢", ["518057"]),
        ("寄到山东省寿光市洛城街道尧河店村，发中通", ["山东省寿光市洛城街道尧河店村"]),
        ("我住在翡翠城，快递放门卫", ["翡翠城"]),
        ("上海的天气怎么样", []),
        ("北京市和上海市的运费一样吗", []),
        ("去地铁站怎么走", []),
        ("他在路口开了一家店", []),
    ],
)
def test_a_place_needs_regions_or_somebody_who_is_there(text: str, pieces: list[str]) -> None:
    """A city alone is none."""
    assert found(find, text) == pieces
