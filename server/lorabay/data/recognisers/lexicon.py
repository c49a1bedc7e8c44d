"""Chinese words and the parts of Chinese names, with how frequent they are.

A weight is minus the natural logarithm of a frequency, so weights of what stands in a row add up.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

OF_SERVICE = (
    "客服 售后 包邮 退款 退货 换货 补发 代收 快递员 微信 支付宝 淘宝 天猫 京东 拼多多 抖音 "
    "花呗 白条 "
    "验证码 登录 路由器 闪退 重启 蓝牙 充值 话费 宽带 扫地机 收货 发货 签收 工单 客户端 二维码 "
    "网银 "
    "应付 应收 单独 单号 高清 周一 周二 周三 周四 周五 周六 周日 何时 何必 何况 万能 温馨 温馨提示 "
    "平安银行 康师傅 王者荣耀 和平精英 林肯公园 小米 小马 小麦 小康 小路 小史 小车 小花 小钱 "
    "小费 老区 华为 海尔 叶子 钱包 花呗 老板 老师 师傅 房间 "
    "常见 程序 程序员 时间 安装 安全 安排 方法 方式 方面 方便面 任何 任务 万一 金额 金牌 金融 黄金 "
    "成功 成都 成本 成交 石头 牛奶 米饭 白色 黑色 黄色 江湖 夏天 夏季 严重 明天 明白 明细 能否 "
    "都有 乌克兰 夏威夷"
)
"""Words of customer service that the dictionary does not have, or has as too rare."""

_OFTEN, _RARE = 10.0, 6.5


@dataclass(frozen=True, slots=True)
class NameParts:
    """Weights of surnames, and of the first and the last character of given names."""

    surnames: Mapping[str, float]
    first: Mapping[str, float]
    last: Mapping[str, float]


@cache
def words() -> Mapping[str, float]:
    """Return the weights of words of up to four characters."""
    weights = dict(_weighted(_lines("chinese_words.txt")))
    surnames = name_parts().surnames
    for word in list(weights):
        # The dictionary has people, too: 老张, 小林.
        if word[0] in "小老" and len(word) == 2 and surnames.get(word[1], _RARE) < _RARE:
            del weights[word]
    return weights | {word: min(_OFTEN, weights.get(word, _OFTEN)) for word in OF_SERVICE.split()}


@cache
def name_parts() -> NameParts:
    """Return the parts of names."""
    parts: dict[str, list[str]] = {}
    section: list[str] = []
    for line in _lines("chinese_names.txt"):
        if line.startswith("["):
            section = parts.setdefault(line.strip("[]"), [])
        else:
            section.append(line)
    return NameParts(*(dict(_weighted(parts[name])) for name in ("surname", "first", "second")))


def _lines(name: str) -> list[str]:
    text = files(__package__).joinpath(name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if not line.startswith("#")]


def _weighted(lines: Iterable[str]) -> Iterator[tuple[str, float]]:
    for line in lines:
        figure, *found = line.split()
        for word in found:
            yield word, int(figure) / 2
