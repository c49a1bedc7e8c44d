"""Dates of birth: a date that is called so. Other dates stay."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lorabay.data.recognisers.cues import is_called
from lorabay.data.recognisers.finding import Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.data.recognisers.view import View

_MONTH = (
    r"(?i:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|"
    r"sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_YEAR = r"(?:19|20)\d{2}"
DATE = re.compile(
    rf"(?<!\d)(?:{_YEAR}\s?[-/.年]\s?\d{{1,2}}\s?[-/.月]\s?\d{{1,2}}\s?[日号]?|"
    rf"{_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])|"
    rf"\d{{1,2}}\s?[-/.]\s?\d{{1,2}}\s?[-/.]\s?(?:{_YEAR}|\d{{2}})|"
    rf"\d{{1,2}}(?:st|nd|rd|th)?\s?(?:of\s)?{_MONTH},?\s?(?:{_YEAR})|"
    rf"{_MONTH}\s?\d{{1,2}}(?:st|nd|rd|th)?,?\s?(?:{_YEAR})|"
    rf"\d{{2}}年\d{{1,2}}月\d{{1,2}}[日号]?|{_YEAR}年\d{{1,2}}月(?!\d))(?!\d)"
)
_SPELT = re.compile(
    r"[一二][九〇零][〇零一二三四五六七八九]{2}年[一二三四五六七八九十]{1,2}月[一二三四五六七八九十]{1,3}[日号]"
)
_CUE = re.compile(
    r"出生|生日|生于|生辰|"
    r"(?i:(?<![a-z])(?:d\.?o\.?b|date of birth|birth ?dates?|birthday|born)(?![a-z]))"
)
_BEFORE, _AFTER = 24, 12


def find(view: View) -> Iterator[Finding]:
    """Yield dates that are called dates of birth."""
    if _CUE.search(view.plain) is None:
        return

    for pattern in (DATE, _SPELT):
        for match in pattern.finditer(view.plain):
            if is_called(view, *match.span(), _CUE, before=_BEFORE, after=_AFTER):
                yield Finding(Kind.BIRTH_DATE, *match.span(), 0.85)
