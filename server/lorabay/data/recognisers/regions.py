"""Names of China's provinces, cities and counties, from the list that python-stdnum has."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

from lorabay.data.recognisers.choices import any_of

_SUFFIX = (
    "特别行政区|维吾尔自治区|壮族自治区|回族自治区|自治区|省|地区|自治州|自治县|自治旗|"
    "林区|新区|市|盟|区|县|旗"
)
_NAME = re.compile(r"(?:province|prefecture|county)=\"([^\"]+)\"")
_YEARS = re.compile(r"\[[^\]]*\]")
_NO_PLACE = frozenset(
    {"新区", "市辖区", "县", "市", "区", "郊区", "矿区", "城区", "省直辖县级行政区划"}
)

CITIES = (
    "北京 上海 天津 重庆 广州 深圳 杭州 南京 苏州 无锡 宁波 温州 成都 武汉 西安 长沙 郑州 青岛 "
    "济南 "
    "大连 沈阳 哈尔滨 长春 石家庄 太原 合肥 南昌 福州 厦门 泉州 南宁 昆明 贵阳 海口 兰州 西宁 银川 "
    "乌鲁木齐 拉萨 呼和浩特 东莞 佛山 珠海 中山 惠州 嘉兴 绍兴 金华 台州 湖州 常州 徐州 扬州 "
    "南通 烟台 "
    "西双版纳 延边 湘西 恩施 凉山 甘孜 阿坝 楚雄 德宏 迪庆 黔东南 黔南 黔西南 昌吉 伊犁 "
    "阿克苏 喀什 阿勒泰 那曲 昌都 林芝 日喀则 香港 澳门 台北 新北 台中 高雄 台南 "
    "潍坊 洛阳 襄阳 宜昌 株洲 岳阳 绵阳 芜湖 赣州 漳州 周口"
)
"""Cities that are often named without the word for a city."""


@cache
def short_cities() -> re.Pattern[str]:
    """Return the pattern of cities without the word for one: only within a row of regions."""
    cities = [name[:-1] for name in _listed() if name.endswith("市") and len(name) > 2]
    return re.compile(any_of(cities))


@cache
def short_counties() -> re.Pattern[str]:
    """Return the pattern of counties without the word for one: only after a city."""
    counties = [name[:-1] for name in _listed() if name[-1] in "县市区" and len(name) > 2]
    return re.compile(any_of(counties))


@cache
def regions() -> re.Pattern[str]:
    """Return the pattern of the name of any region, the longest first."""
    names = _listed()
    short = {re.sub(rf"(?:{_SUFFIX})$", "", name) for name in names if name.endswith("省")}
    cities = {f"{city}{suffix}" for city in CITIES.split() for suffix in ("市", "")}
    return re.compile(any_of(names | short | cities))


@cache
def _listed() -> frozenset[str]:
    """Return the names that the list has, of all years."""
    text = files("stdnum").joinpath("cn/loc.dat").read_text(encoding="utf-8")
    names: set[str] = set()
    for value in _NAME.findall(text):
        names |= {_YEARS.sub("", one) for one in value.split(",")}
    return frozenset(name for name in names if len(name) > 1) - _NO_PLACE
