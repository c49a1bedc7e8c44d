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
        ("收货人：石楠、童话，电话不变", ["石楠", "童话"]),
        ("抄送沈佳宜，鲁明远", ["沈佳宜", "鲁明远"]),
        ("14:05 卢志鹏：收到", ["卢志鹏"]),
        ("黎明的工资条没有发", ["黎明"]),
        ("林海，麻烦你看一下", ["林海"]),
        ("护士叫圆圆，很细心", ["圆圆"]),
        ("客服小美为您服务", ["小美"]),
        ("秀英你看一下这个报错", ["秀英"]),
        ("晶姐说可以", ["晶"]),
        ("客户叫亨利克森，是丹麦人", ["亨利克森"]),
        ("瞿处已经批了", ["瞿"]),
        ("业务员小孔没来", ["孔"]),
        ("值班：齐、穆", ["齐", "穆"]),
        ("佐佐木健先生的房间", ["佐佐木健"]),
        ("驾驶员冷锋已到", ["冷锋"]),
        ("都怪建军没锁门", ["建军"]),
        ("小姑娘是叫思思吧", ["思思"]),
        ("物业小张说不归他们管", ["张"]),
        ("收货人写的童话，是真名", ["童话"]),
        ("骑手车建国已取货", ["车建国"]),
        ("周三鲍小鹏值日", ["鲍小鹏"]),
        ("双木，林海的林，窦娥的窦", []),
        ("写的是金额，乙方空着", []),
        ("我把车借给了别人", []),
        ("廖记棒棒鸡和大牛肉面", []),
        ("今天很高兴为您服务，方便的话请拍照", []),
        ("王者荣耀的皮肤没有到账", []),
        ("张开盒子以后先把电池装上", []),
        ("马上给您处理，周末也有人", []),
        ("何时发货？万一发错了怎么办", []),
        ("白色、金色和黄色都有", []),
        ("请您联系商家客服", []),
        ("联系电话：13812345678，全天", []),
        ("%s 时出错", []),
        ("妈妈说她不要，小姐姐态度好", []),
    ],
)
def test_names_are_told_from_words(text: str, pieces: list[str]) -> None:
    """By what stands around them, and by how frequent the words would be."""
    assert found(find, text) == pieces


def test_an_answer_may_be_a_name_and_nothing_else() -> None:
    """A word that could be one is, if it was asked for."""
    assert not list(find(View("江河")))
    assert [one.end for one in find(View("江河", is_answer=True))] == [2]


def test_an_answer_may_be_a_surname() -> None:
    """With more of a sentence behind it, too."""
    assert not list(find(View("钟")))
    assert [one.end for one in find(View("钟，钟表的钟", is_answer=True))] == [1]


def test_text_without_chinese_has_none() -> None:
    """It is not looked at."""
    assert list(find(View("Wang Fang"))) == []
