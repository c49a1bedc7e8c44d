"""Figures in text: numbers with their units, codes and times, in one form for English and Chinese.

`$1,000`, `1000 dollars` and `1000美元` are the same figure. So are `five minutes` and `5分钟`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_UNITS = {
    "percent": r"%|percent\b|per cent\b",
    "dollar": r"dollars?\b|bucks\b|美元",
    "euro": r"euros?\b|EUR\b|欧元",
    "yuan": r"yuan\b|RMB\b|人民币|元",
    "business day": r"(?:business|working) days?\b|个?工作日",
    "day": r"days?\b|天|日",
    "week": r"weeks?\b|个?星期|周",
    "month": r"months?\b|个月",
    "year": r"years?\b|年",
    "hour": r"hours?\b|个?小时",
    "minute": r"minutes?\b|分钟",
    "second": r"seconds?\b|秒",
    "am": r"am\b|a\.m\.",
    "pm": r"pm\b|p\.m\.",
    "kg": r"kg\b|千克|公斤",
    "cm": r"cm\b|厘米",
    "metre": r"met(?:re|er)s?\b|米",
    "watt": r"W\b",
    "gigabyte": r"GB\b",
    "gigahertz": r"GHz\b",
    "degree": r"°C",
}
_PREFIXES = {"$": "dollar", "€": "euro", "¥": "yuan", "￥": "yuan"}

_SPELT = (
    *("one", "two", "three", "four", "five", "six"),
    *("seven", "eight", "nine", "ten", "eleven", "twelve"),
)
_NUMBER = r"\d+(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)*"
_UNIT = "|".join(f"(?P<u{place}>{pattern})" for place, pattern in enumerate(_UNITS.values()))

_FIGURE = re.compile(
    rf"(?P<code>(?<![A-Za-z0-9])[A-Z]{{1,4}}-\d+)"
    rf"|(?P<clock>(?<!\d)\d{{1,2}}[:：]\d{{2}}(?!\d))"
    rf"|(?:(?P<prefix>[$€¥￥])\s?)?(?P<number>{_NUMBER})(?:[ -]?(?:{_UNIT}))?"
    rf"|\b(?P<spelt>{'|'.join(_SPELT)})[ -](?:{_UNIT.replace('?P<u', '?P<v')})",
    re.IGNORECASE,
)
_NUMBERING = re.compile(
    r"^\s*(?:(?:Step|步骤)\s*)?第?\d+(?:步[：:、]?|[.):：、．])\s", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Figure:
    """A value, its unit if it has a known one, and how it was written."""

    value: str
    unit: str | None
    text: str

    def says(self, other: Figure) -> bool:
        """Return whether both are the same; a figure without a unit is like one of any unit."""
        if self.value != other.value:
            return False
        return self.unit is None or other.unit is None or self.unit == other.unit


def figures(text: str) -> list[Figure]:
    """Return the figures of a text in their order, without the numbers of its steps."""
    return [_figure(match) for match in _FIGURE.finditer(_NUMBERING.sub("", text))]


def _figure(match: re.Match[str]) -> Figure:
    groups = match.groupdict()
    written = match[0].strip()
    if groups["code"]:
        return Figure(groups["code"].upper(), "code", written)
    if groups["clock"]:
        return Figure(groups["clock"].replace("：", ":").lstrip("0"), "clock", written)

    unit = _PREFIXES.get(groups["prefix"] or "") or _unit(groups)
    if groups["spelt"]:
        return Figure(str(_SPELT.index(groups["spelt"].lower()) + 1), unit, written)
    return Figure(_plain(groups["number"]), unit, written)


def _unit(groups: dict[str, str | None]) -> str | None:
    for place, name in enumerate(_UNITS):
        if groups[f"u{place}"] or groups[f"v{place}"]:
            return name
    return None


def _plain(number: str) -> str:
    """Return a number without commas, and without zeros that say nothing."""
    plain = number.replace(",", "")
    if plain.count(".") == 1:
        plain = plain.rstrip("0").rstrip(".")
    return plain
