"""Chinese addresses by what is said of them."""

from __future__ import annotations

import pytest

from lorabay.data.recognisers.chinese_destinations import find
from lorabay.data.recognisers.finder import apart
from lorabay.data.recognisers.view import View
from tests.data.recognisers.found import found


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("送公司福田区益田路卓越时代广场二期2208", ["福田区益田路卓越时代广场二期2208"]),
        ("改成大理市洱河北路", ["大理市洱河北路"]),
        ("单位：国家税务局大厦裙楼二层东侧", ["国家税务局大厦裙楼二层东侧"]),
        ("送望京西园四区410楼", ["望京西园四区410楼"]),
        ("放金地格林小城东门丰巢", ["金地格林小城东门"]),
        ("事故地点沪昆高速K1120+300", ["沪昆高速K1120+300"]),
        ("小区：融创玖樟台", ["融创玖樟台"]),
        ("不要再寄雁塔区丈八东路副18号了", ["雁塔区丈八东路副18号"]),
        ("送到楼下就行，不用上楼", []),
        ("包裹在杭州转运中心停了三天", []),
        ("小区不让快递进，地址栏填不了", []),
        ("停在登录页面不动了", []),
        ("放到第三层格子里", []),
        ("在超市门口看到的活动", []),
        ("A small town", []),
    ],
)
def test_an_address_has_as_many_parts_as_its_cue_leaves_open(text: str, pieces: list[str]) -> None:
    """A place of everybody has none, or is called what it is."""
    assert found(find, text) == pieces


def test_an_answer_may_be_an_address_and_nothing_else() -> None:
    """If it was asked for; what is said besides it is left."""
    text = "还是老地方，中海国际社区"
    assert [text[one.start : one.end] for one in find(View(text))] == []
    answer = apart(find(View(text, is_asked_where=True)))
    assert [text[one.start : one.end] for one in answer] == ["中海国际社区"]
