"""Names in Chinese characters that are not Chinese: of Uyghurs, Tibetans, Mongols and foreigners.

With a dot between its parts such a name is known by its form. Without one it is known by a list of
names, or of parts that stand in a row, and by what stands around it.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from lorabay.data.recognisers.chinese_cues import LEFT, RIGHT, WEAK, gains
from lorabay.data.recognisers.finding import Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.data.recognisers.view import View

_SCORE = 0.8

_LETTERS = (
    "阿埃艾爱安奥巴邦贝本比彼毕波伯博布查楚达大戴丹道德迪蒂丁杜多顿厄恩尔法凡菲费芬弗夫福盖甘戈格根古哈海汉豪赫亨胡霍基吉加"
    "贾简杰津金卡凯坎康考科克肯孔库夸拉莱兰劳勒雷利里莉丽连廉列林琳鲁伦罗洛吕马玛迈麦曼芒梅蒙米密明莫默姆穆纳娜南内尼妮涅宁"
    "纽努诺欧帕派潘佩彭蓬皮平珀普齐奇契恰乔切琼屈热日荣瑞若萨塞桑瑟森沙莎山尚舍申圣施史斯丝思松苏索塔泰坦汤唐特滕提廷"
    "通图托脱瓦万旺威维韦温沃乌武西希锡夏香肖谢辛欣休修许雪逊雅亚扬耶叶伊依因英尤于约扎赞泽詹珍芝朱兹宗祖佐"
    "昂拜班保鲍采昌彻茨当登邓东发方丰冈高贡瓜圭黑洪侯华怀惠江京久开奎昆赖朗蕾良留刘龙隆卢茅毛门敏乃奈嫩农女庞钱强钦"
    "青丘茹赛珊绍盛什石舒腾陀文翁湘兴雄永章占"
    "买木江别汗吾孜合祥麻吐帝迦娅娃奴哲措仁央卓珠增都"
)
"""Characters that foreign names are written in."""

_DOT = re.compile("[·•・‧]")
_DOTTED = re.compile(rf"[{_LETTERS}]{{1,6}}(?:[·•・‧][{_LETTERS}]{{1,7}}){{1,3}}")

_END = re.compile(r"[。!? ]*")


@cache
def _listed() -> re.Pattern[str]:
    """Return the pattern of the names of the list, and of two or three parts in a row."""
    text = files(__package__).joinpath("transliterated_names.txt").read_text(encoding="utf-8")
    before, _, parts = text.partition("[part]")
    whole = before.partition("[whole]")[2].split()

    names = "|".join(sorted(set(whole), key=lambda name: (-len(name), name)))
    pieces = "|".join(sorted(set(parts.split()), key=lambda name: (-len(name), name)))
    return re.compile(rf"(?P<row>(?:{pieces}){{2,3}})|(?:{names})")


def find(view: View) -> Iterator[Finding]:
    """Yield names; one of the list alone needs something that says that it is one."""
    plain = view.plain
    if _DOT.search(plain):
        for match in _DOTTED.finditer(plain):
            yield Finding(Kind.NAME, *match.span(), _SCORE)

    listed = list(_listed().finditer(plain))
    if not listed:
        return

    left = gains(plain, LEFT, left=True)
    right = gains(plain, RIGHT, left=False)
    for match in listed:
        said = left.get(match.start(), 0.0) + right.get(match.end(), 0.0)
        is_whole = match.start() == 0 and _END.fullmatch(plain, match.end()) is not None
        if match["row"] or said >= WEAK or is_whole:
            yield Finding(Kind.NAME, *match.span(), _SCORE)
