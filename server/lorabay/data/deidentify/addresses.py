"""Surrogates of addresses: other names of districts, streets and estates, and other numbers.

Province and city stay, and so do what is put after a number, the state, and the first digits of a
code: they tell where in a country, and not which door.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from lorabay.data.deidentify.writing import redrawn
from lorabay.data.recognisers.chinese_address_parts import BUILDING, ESTATE, STREET
from lorabay.data.recognisers.english_address_parts import DIRECTION, FLAT, TYPE
from lorabay.data.recognisers.regions import regions
from lorabay.data.recognisers.view import View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorabay.data.deidentify.keys import Draws, Key

_CHINESE = re.compile("[\u3400-\u9fff]")
_DISTRICT = re.compile(r"(?:区|县|旗)$")
_PART = re.compile(
    rf"(?P<number>\d+)(?P<unit>(?:{BUILDING})?[内旁]?)"
    rf"|(?P<name>[\u4e00-\u9fff]{{1,8}}?)(?P<what>{STREET}|{ESTATE})(?!{STREET}|{ESTATE})"
)
_DISTRICTS = "鼓楼 和平 新华 城关 桥西 长安 东湖 江北 河东 南山 海州 高新 城东 青山 开福 永安"
_STREETS = (
    "人民 解放 建设 中山 和平 新华 胜利 文化 友谊 光明 朝阳 长江 黄河 青年 育才 团结 振兴 迎宾 "
    "湖滨 "
    "学府 江南 滨河 东风 红旗 园林 科学 体育 民主 前进 幸福"
)
_ESTATES = (
    "阳光 锦绣 金色 翠湖 紫荆 碧水 绿洲 丽景 世纪 雅居 嘉禾 祥和 盛世 书香 枫林 银河 康乐 明珠"
)
_KEPT = re.compile(
    rf"{FLAT}|(?<![A-Za-z])(?i:{TYPE}|{DIRECTION}|no|p\.?\s?o\.?\s?box|rue|via|viale|piazza|calle|"
    r"avenida|rua|de|la|del|the|of|le|el|du|des|st|nd|rd|th|and|corner|junction|intersection|"
    r"number|front desk)(?![A-Za-z])"
)
_WORD = re.compile(r"(?<!\d)[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_POSTCODE = re.compile(
    r"(?<![A-Za-z])[A-Z]{1,2}\d[A-Z\d]?\s?\d[A-Z]{2}(?![A-Za-z])|[A-Z]\d[A-Z]\s?\d[A-Z]\d"
)

_FLAT_ONLY = re.compile(FLAT)
_ENDS_LIKE_A_STREET = re.compile(rf"(?i:\s{TYPE})\.?(?:\s{DIRECTION})?(?:\s\d{{1,3}})?\s*$")
_POSTCODE_OR_NUMBER = re.compile(rf"{_POSTCODE.pattern}|\d+")


def address(text: str, key: Key) -> str:
    """Return another address in the same city."""
    draws = key.draws("ADDRESS", re.sub(r"[\s,，]", "", View(text).plain).lower())
    return _chinese(text, draws) if _CHINESE.search(text) else _latin(text, draws)


def _chinese(text: str, draws: Draws) -> str:
    plain = View(text).plain
    head, at = "", 0
    while (region := regions().match(plain, at)) is not None:
        head += _region(region[0], draws)
        at = region.end()
    rest = plain[at:]
    made = _PART.sub(lambda match: _part(match, draws), rest)
    if made == rest and _CHINESE.search(rest):
        # Nothing in it is called a street or an estate.
        made = _other(_ESTATES, rest, draws)
    return head + made


def _region(name: str, draws: Draws) -> str:
    if not _DISTRICT.search(name) or name.endswith("自治区"):
        return name
    return _other(_DISTRICTS, name[:-1], draws) + name[-1]


def _part(match: re.Match[str], draws: Draws) -> str:
    if match["number"]:
        return _number(match["number"], draws) + match["unit"]
    is_street = re.fullmatch(STREET, match["what"]) is not None
    return _other(_STREETS if is_street else _ESTATES, match["name"], draws) + match["what"]


def _other(names: str, original: str, draws: Draws) -> str:
    return draws.choice([one for one in names.split() if one != original])


def _number(digits: str, draws: Draws) -> str:
    """Return another number of as many digits."""
    return f"{1 + draws.below(9)}{redrawn(digits[1:], draws)}"


def _latin(text: str, draws: Draws) -> str:
    parts = text.split(",")
    street = _street_part(parts)
    made = [_street(part, draws) for part in parts[: street + 1]]
    made += [_codes(part, draws) for part in parts[street + 1 :]]
    return ",".join(made)


def _street_part(parts: Sequence[str]) -> int:
    """Return which part has the street: the last that ends like one, or else the first number."""
    ends = [place for place, part in enumerate(parts) if _ENDS_LIKE_A_STREET.search(part)]
    if ends:
        return ends[-1]

    numbered = [
        place
        for place, part in enumerate(parts)
        if re.search(r"\d", part) and not _FLAT_ONLY.fullmatch(part.strip())
    ]
    return numbered[0] if numbered else 0


def _codes(part: str, draws: Draws) -> str:
    """Return a part that names no street, with its numbers and codes drawn anew."""
    return _POSTCODE_OR_NUMBER.sub(lambda match: _code(match[0], draws), part)


def _street(street: str, draws: Draws) -> str:
    kept = [match.span() for match in _KEPT.finditer(street)]

    def word(match: re.Match[str]) -> str:
        if any(start <= match.start() and match.end() <= end for start, end in kept):
            return match[0]
        drawn = draws.choice(_street_names())
        return drawn if match[0].islower() else drawn.capitalize()

    return _codes(_WORD.sub(word, street), draws)


def _code(code: str, draws: Draws) -> str:
    """Return another code of the same region, or another number."""
    if not code.isdigit():
        # The letters in front are those of a town.
        return code[:2] + redrawn(code[2:], draws)
    if len(code) >= 5:
        return code[:3] + redrawn(code[3:], draws)
    return _number(code, draws)


@cache
def _street_names() -> tuple[str, ...]:
    from faker.providers.person.en_US import Provider

    return tuple(sorted(one.lower() for one in Provider.last_names if one.isalpha()))
