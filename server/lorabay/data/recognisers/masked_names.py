"""Names of which a part is hidden: 王*明, 李某某, 陈X, J. D**, M*** Okafor.

What is left of such a name, and how long the rest is, tells who is meant in a small circle. A mask
counts after a surname that many have, or beside another part of a name.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from lorabay.data.recognisers.chinese_cues import around
from lorabay.data.recognisers.english_lists import common_words, is_listed
from lorabay.data.recognisers.finding import Finding, Kind
from lorabay.data.recognisers.lexicon import name_parts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.data.recognisers.view import View

_SCORE = 0.82
_RARE = 7.5
"""What a surname weighs at least that few have."""

_STARS = re.compile(
    r"[\u4e00-\u9fff](?:[*×○●]{1,3}(?:(?<![*×○●]{2})(?!其)[\u4e00-\u9fff](?![\u4e00-\u9fff]))?"
    r"|[Xx]{1,2}(?![A-Za-z\d]))"
)
_SOMEBODY = re.compile(r"[\u4e00-\u9fff]某(?:某|(?![些个种天日地处年月时人方一]))")
_JOINT = frozenset("和与跟及、")

_LATIN = re.compile(
    r"(?<![\w*])(?:(?P<open>[A-Z][A-Za-z'-]*\.?) [A-Z][a-z]{0,3}\*{2,}[a-z]?"
    r"|[A-Z][a-z]{0,3}\*{2,}[a-z]? (?P<last>[A-Z][a-z'-]+))(?![\w*])"
)
_INITIAL = re.compile(r"[A-Z]\.?")


def find(view: View) -> Iterator[Finding]:
    """Yield names."""
    if view.has_chinese:
        yield from _chinese(view)
    if "**" in view.plain:
        yield from _latin(view.plain)


def _chinese(view: View) -> Iterator[Finding]:
    """Yield a surname and a mask; stars may also be those of a price or of a password."""
    plain = view.plain
    for match in _SOMEBODY.finditer(plain):
        if match[0][0] in _frequent():
            yield Finding(Kind.NAME, *match.span(), _SCORE)

    for match in _STARS.finditer(plain):
        if match[0][0] in _frequent() and _may_begin(plain, match.start()):
            yield Finding(Kind.NAME, *match.span(), _SCORE)


def _may_begin(plain: str, at: int) -> bool:
    """Return whether a name may begin at a place: no word goes on there."""
    before = plain[at - 1 : at]
    if before in _JOINT or not "\u4e00" <= before <= "\u9fff":
        return True
    return around(plain)[0].get(at, 0.0) > 0


@cache
def _frequent() -> frozenset[str]:
    """Return the surnames of one character that many have."""
    surnames = name_parts().surnames.items()
    return frozenset(name for name, weight in surnames if len(name) == 1 and weight < _RARE) - {
        "成"
    }


def _latin(plain: str) -> Iterator[Finding]:
    """Yield a hidden word beside an initial or a name of a list."""
    for match in _LATIN.finditer(plain):
        other = match["open"] or match["last"]
        word = other.lower()
        is_name = is_listed(word) and word not in common_words()
        if _INITIAL.fullmatch(other) or is_name:
            yield Finding(Kind.NAME, *match.span(), _SCORE)
