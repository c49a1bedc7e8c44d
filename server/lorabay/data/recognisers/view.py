"""A text as recognisers read it: characters of normal width, one for each of the text.

Because no character is added or left out, a place in the view is a place in the text. The view is
for finding only and never for output: full-width punctuation is meant.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_RANGES = (
    (0x00A0, 0x00BF),
    (0x2000, 0x33FF),
    (0xF900, 0xFAFF),
    (0xFE30, 0xFFEF),
    (0x1D400, 0x1D7FF),
    (0x1F100, 0x1F1FF),
)
"""Where Unicode has other forms of letters, digits and signs."""

DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\uff0d"

NUMERALS: Mapping[str, str] = {
    **dict(zip("零〇一二三四五六七八九", "00123456789", strict=True)),
    **dict(zip("壹贰叁肆伍陆柒捌玖幺", "1234567891", strict=True)),
}
"""Chinese numerals as they are read out, digit by digit."""

_NUMERAL_TABLE = str.maketrans(dict(NUMERALS))
_SPOKEN = re.compile(f"[{''.join(NUMERALS)}](?:[ 、-]?[{''.join(NUMERALS)}\\d]){{5,}}")

GAP = r"[ \-.·_/\u200b\u200c\u200d\ufeff]"
"""What may stand between two digits of a number."""


@dataclass(frozen=True)
class View:
    """A text, and the ways to read it."""

    text: str
    is_answer: bool = False
    """Whether what was said before asks for a name."""

    is_asked_where: bool = False
    """Whether what was said before asks for an address."""

    @cached_property
    def plain(self) -> str:
        """The text in normal width, with hyphens for dashes, Chinese in simplified characters."""
        return self.text if self.text.isascii() else self.text.translate(_table())

    @cached_property
    def digits(self) -> str:
        """The text in normal width, numbers that are spelt in Chinese numerals as digits."""
        plain = self.plain
        if plain.isascii():
            return plain
        return _SPOKEN.sub(lambda match: match[0].translate(_NUMERAL_TABLE), plain)

    @cached_property
    def has_digit(self) -> bool:
        """Whether any digit stands in it."""
        return any(map(str.isdigit, self.digits))

    @cached_property
    def has_chinese(self) -> bool:
        """Whether any Chinese character stands in it."""
        return _CHINESE.search(self.text) is not None

    @cached_property
    def has_latin(self) -> bool:
        """Whether a word in Latin letters stands in it."""
        return _LATIN.search(self.plain) is not None

    def before(self, start: int, chars: int) -> str:
        """Return what stands before a place, of this line only."""
        return self.plain[max(0, start - chars) : start].rpartition("\n")[2]

    def after(self, end: int, chars: int) -> str:
        """Return what stands after a place, of this line only."""
        return self.plain[end : end + chars].partition("\n")[0]


_LATIN = re.compile("[A-Za-z]{2}")
_CHINESE = re.compile("[\u3400-\u9fff]")


@cache
def _table() -> dict[int, str]:
    table = {ord(dash): "-" for dash in DASHES}
    table |= _simplified()
    for first, last in _RANGES:
        for code in range(first, last + 1):
            other = unicodedata.normalize("NFKC", chr(code))
            if len(other) == 1 and other != chr(code):
                table.setdefault(code, other)
    return table


def _simplified() -> dict[int, str]:
    """Return the simplified character of each traditional one, of rows that stand in turn."""
    text = files(__package__).joinpath("traditional_characters.txt").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if not line.startswith("#")]
    table: dict[int, str] = {}
    for traditional, simplified in zip(rows[::2], rows[1::2], strict=True):
        table |= {ord(t): s for t, s in zip(traditional, simplified, strict=True)}
    return table


def digits_of(text: str) -> str:
    """Return the digits of a text and nothing else."""
    return "".join(char for char in text if char.isdigit())
