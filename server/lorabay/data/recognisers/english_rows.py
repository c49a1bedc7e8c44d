"""Addresses in Latin letters as rows of parts between commas, and as values of a field.

`The Old Bakery, Mill Lane, Witney OX28 6AB` has neither a number nor a flat, and yet each part says
something: a row is an address if its parts together say enough.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lorabay.data.recognisers.english_address_parts import (
    BRITISH_CODE,
    CANADIAN_CODE,
    COUNTRY,
    FLAT,
    HOUSE_KIND,
    IRISH_CODE,
    NUMBERED_PART,
    STATE,
    STATE_NAME,
    TYPE,
)
from lorabay.data.recognisers.english_lists import common_words
from lorabay.data.recognisers.finding import Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.data.recognisers.view import View

_SCORE = 0.86
"""More than a name has, and less than a number and a street."""

_ENOUGH, _CALLED = 4, 2
"""What the parts have to say together, and where the row is called an address."""

_LETTER = "A-Za-z\u00c0-\u024f"
_NUMBER = (
    r"\d[A-Z]{2}|#?\d{1,6}[A-Za-z]?(?:[-/][\dA-Z]{1,6})*(?:st|nd|rd|th)?|\d{1,3}/F|\d{1,2}[ºª°]"
)
_WORD = (
    rf"(?:[A-Z\u00c0-\u00de][{_LETTER}'\u2019.\d-]*|{_NUMBER}|of|on|upon|the|de|des|du|la|le|del|"
    r"da|do|der|am|ul\.|na|al)"
)
_PART = rf"{_WORD}(?:[ ]{_WORD}){{0,6}}"
_ROW = re.compile(rf"(?<![{_LETTER}\d@$#_/.-]){_PART}(?:,[ ]?{_PART}){{1,7}}(?![{_LETTER}\d])")

_NUMERAL = "One|Two|Three|Four|Five|Six|Seven|Eight|Nine|Ten|Eleven|Twelve"
_ABROAD = (
    r"Jalan|Jln|Lorong|Soi|Taman|Rue|Calle|Via|Viale|Piazza|Avenida|Rua|ul\.|al\.|[\w-]+stra(?:ß|"
    r"ss)e|"
    r"[\w-]+(?:gasse|platz|allee|weg|straat|gracht|laan|plein|gatan|vej)|Nguyen|Chome|Street \d|"
    r"Heol|Stryd|Ffordd|Lôn|Ty|District \d{1,2}|[A-Z][\w-]+-(?:ku|shi|gu|dong|cho|ro|gil|do)"
)
_SAYS = (
    (
        re.compile(
            rf"(?<![A-Za-z])(?:{BRITISH_CODE}|{CANADIAN_CODE}|{IRISH_CODE}|"
            rf"(?:{STATE}|[A-Z]\.[A-Z]\.|{STATE_NAME})\s\d{{5}}(?:-\d{{4}})?)$"
        ),
        4,
    ),
    (re.compile(rf"{FLAT}$|{FLAT} "), 2),
    (
        re.compile(
            rf"(?:\d{{1,5}}[A-Za-z]?(?:-\d+)?|{_NUMERAL})\s.*(?:{TYPE})\.?(?:\s[NSEW]|\s\d+)?$"
        ),
        3,
    ),
    (re.compile(rf"{NUMBERED_PART}$"), 2),
    (re.compile(rf"(?:\d+[A-Za-z]?\s)?(?:{_ABROAD})(?![A-Za-z])"), 2),
    (
        re.compile(
            r"(?:[A-Z][\w' -]+\s\d{5,6}|\d{2}-\d{3}\s[A-Z].*|\d{4,6}(?:\s[A-Z]{2})?\s[A-Z].*)$"
        ),
        2,
    ),
    (re.compile(rf"(?:{STATE}|{STATE_NAME}|{COUNTRY})$"), 1),
    (re.compile(rf".*\s(?:{HOUSE_KIND}|University|College|Hospital|District|County|Province)$"), 1),
    (re.compile(rf"(?:.*\s)(?:{TYPE})$|The\s[A-Z]"), 1),
    (re.compile(r"\d{1,5}[A-Za-z]?\s[A-Z]|#\d|Co\.\s|County\s"), 1),
)
"""What a part of a row may be, and how much that says; the first that fits counts."""

_FIELD = re.compile(
    r"(?<![a-z])(?:(?:mailing|billing|shipping|delivery|home|work|postal|street|site|service|"
    r"property|"
    r"pick-?up|return|invoice|registered|current|new|old|correct|full) )?"
    r"(?P<what>address|addr\.?|street|city|town|suburb|premises|property|house name|building name)"
    r"(?: line)?[ ]?\d?(?:\s?/\s?(?:zip|state|post ?code))?\s?[:=]\s*(?P<value>[^\n;|]{3,90})",
    re.IGNORECASE,
)
_VALUE = re.compile(rf"{_PART}(?:,[ ]?{_PART}){{0,7}}")
_NOT_SAID = re.compile(r"(?i:pending|unknown|none|n/?a|tbc|tbd|same|see|not|no |wrong|field|line)")

_CUE = re.compile(
    r"(?i:address|live[sd]?|living|stay(?:ing)?|mov(?:ed|ing)|ship|deliver|send|sent|mail|post|"
    r"located|"
    r"pick ?up|collect|drop|leave|bring|property|home|house|flat|office|site|tenant|at|to|from|"
    r"in|is)"
    r"[^.!?]{0,12}$"
)
_DAYS = re.compile(
    r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day|(?:Jan|Febr)uary|March|April|June|July"
)
_STAYS = frozenset(
    "the old new san los las st saint north south east west upper lower little great one two three "  # noqa: SIM905
    "four five six seven eight nine ten flat apartment apt unit suite room floor building house "
    "lot "
    "block villa plot gate park court square garden tower level street road district sector".split()
)
"""Common words that an address may begin with."""


def find(view: View) -> Iterator[Finding]:
    """Yield addresses."""
    plain = view.plain
    if "," in plain:
        for match in _ROW.finditer(plain):
            yield from _row(view, match)
    for match in _FIELD.finditer(plain):
        yield from _value(plain, match)


def _row(view: View, match: re.Match[str]) -> Iterator[Finding]:
    """Yield a row if its parts say enough."""
    start, end = _trimmed(match[0])
    row = match[0][start:end]
    if "," not in row or _DAYS.search(row):
        return

    said = sum(map(_said, re.split(r",\s?", row)))
    before = view.before(match.start() + start, 40)
    is_called = view.is_asked_where or not before.strip() or _CUE.search(before) is not None
    if said >= (_CALLED + 1 if is_called else _ENOUGH):
        yield Finding(Kind.ADDRESS, match.start() + start, match.start() + end, _SCORE)


def _said(part: str) -> int:
    """Return what a part of a row says."""
    return next(
        (much for pattern, much in _SAYS if pattern.match(part) or _at_end(pattern, part)), 0
    )


def _at_end(pattern: re.Pattern[str], part: str) -> bool:
    """Return whether a code ends a part, after the name of a city."""
    return pattern is _SAYS[0][0] and pattern.search(part) is not None


def _trimmed(row: str) -> tuple[int, int]:
    """Return where a row begins and ends without words that stand before and after it."""
    start = 0
    while (word := _FIRST.match(row, start)) is not None and _is_outside(word["word"]):
        start = word.end()

    end = len(row)
    while (last := row.rfind(",", start, end)) > 0 and _begins_outside(row[last + 1 : end]):
        end = last
    return start, len(row[:end].rstrip())


_FIRST = re.compile(rf"(?P<word>[{_LETTER}'\u2019.-]+),? ")


def _begins_outside(part: str) -> bool:
    return _is_outside(part.split(maxsplit=1)[0])


def _is_outside(word: str) -> bool:
    low = word.lower().rstrip(".")
    return low in common_words() and low not in _STAYS


def _value(plain: str, match: re.Match[str]) -> Iterator[Finding]:
    """Yield the value of a field, if it may be an address."""
    value = _VALUE.match(plain, match.start("value"))
    if value is None or _NOT_SAID.match(value[0]):
        return

    is_named = any(char.isdigit() for char in value[0]) or not _is_outside(value[0].split()[0])
    if is_named and not value[0].islower():
        yield Finding(Kind.ADDRESS, *value.span(), _SCORE)
