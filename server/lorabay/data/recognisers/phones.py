"""Phone numbers: Chinese ones by their form, others by phonenumbers.

A number without a country's code counts where its form says so, or where a word for phones stands
near it. Numbers of hotlines (400, 800, 955xx) are no person's.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from lorabay.data.recognisers.cues import is_called
from lorabay.data.recognisers.finding import Finding, Kind
from lorabay.data.recognisers.view import GAP, digits_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.data.recognisers.view import View

REGIONS = ("CN", "US", "GB", "AU", "IN", "DE", "FR", "SG", "HK")
"""Where a number without a country's code may be from, if it is called a phone number."""

_CUE = re.compile(
    r"电话|手机|号码|座机|联系|致电|拨打|回电|来电|传真|微信|短信|打给|"
    r"(?i:(?<![a-z])(?:phones?|call(?:ed|ing)?|cell|mobile|tel|telephone|text|reach|whatsapp|fax|"
    r"dial|contact|ring|sms|landline)(?![a-z]))"
)
_NO_HALF = r"(?<![\d])(?<!\d[.-])(?<![A-Za-z]\d[.-])"
# Without the full stop: four numbers with stops between them are an address of the internet.
_SPACE = r"[ \-·_\u200b\u200c\u200d\ufeff]"
_MOBILE = re.compile(
    rf"{_NO_HALF}(?:(?:\(?(?:\+|00){_SPACE}?)?86\)?{_SPACE}{{0,2}})?"
    rf"1{_SPACE}{{0,2}}[3-9](?:{_SPACE}{{0,2}}\d){{9}}(?!{_SPACE}?\d)"
)
_TIGHT_MOBILE = re.compile(
    rf"{_NO_HALF}(?:(?:\+|00)?86{GAP}?)?1[3-9]\d{GAP}?\d{{4}}{GAP}?\d{{4}}(?!\d)"
)
_LANDLINE = re.compile(
    r"(?<!\d)(?<!\d[.-])(?:(?:\+|00)86[ -]?)?\(?0(?:10|2\d|[3-9]\d{2})\)?[ -]{0,2}"
    r"[2-8]\d{2,3}[ -]?\d{4}(?:(?:转|ext\.?|-| x)\s?\d{1,5})?(?!\d)"
)
_FOREIGN = re.compile(r"(?<![A-Za-z0-9_+])(?:\+|00)[ ]?[1-9](?:[ \-.()]{0,2}\d){6,14}(?!\d)")
_AMERICAN = re.compile(
    r"(?<![\d$])(?<!\d[.,-])(?:\+?1[ .-]?)?(?:\([2-9]\d{2}\)[ ]?|[2-9]\d{2}[.-])"
    r"[2-9]\d{2}[ .-]\d{4}"
    r"(?:\s?(?:x|ext\.?)\s?\d{1,5})?(?![\d-])"
)
_BRITISH = re.compile(
    r"(?<!\d)(?<!\d[.,-])(?:07\d{3}|0[12]\d{2,3}|\(0\d{2,4}\))[ ]\d{3,4}[ ]?\d{3,4}(?!\d)"
)
_ANY = re.compile(r"(?<![\dA-Za-z$])(?<!\d[.,-])\(?\d(?:[ \-.()]{0,2}\d){6,12}(?![\d-])(?![.,]\d)")


def find(view: View) -> Iterator[Finding]:
    """Yield phone numbers."""
    if not view.has_digit:
        return

    yield from _chinese(view)
    plain = view.plain
    for pattern, region in ((_FOREIGN, None), (_AMERICAN, "US"), (_BRITISH, "GB")):
        for match in pattern.finditer(plain):
            if _exists(match[0], region):
                yield Finding(Kind.PHONE, *match.span(), 0.9)
    yield from _called(view)


def _chinese(view: View) -> Iterator[Finding]:
    readings = {view.plain, view.digits}
    for reading in readings:
        for pattern in (_TIGHT_MOBILE, _MOBILE):
            for match in pattern.finditer(reading):
                yield Finding(Kind.PHONE, *match.span(), 0.9)
        for match in _LANDLINE.finditer(reading):
            if not digits_of(match[0]).startswith("0400"):
                yield Finding(Kind.PHONE, *match.span(), 0.85)


def _called(view: View) -> Iterator[Finding]:
    """Yield what is said to be a phone number, and could be one somewhere."""
    for match in _ANY.finditer(view.plain):
        if _is_hotline(match[0]) or not is_called(view, *match.span(), _CUE, after=10):
            continue
        if any(_exists(match[0], region) for region in REGIONS):
            yield Finding(Kind.PHONE, *match.span(), 0.6)


def _is_hotline(text: str) -> bool:
    return re.match(r"(?:[48]00|95\d)", digits_of(text)) is not None


@lru_cache(maxsize=1 << 14)
def _exists(text: str, region: str | None) -> bool:
    import phonenumbers

    if text.startswith("00"):
        text = f"+{text[2:]}"
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.is_valid_number(number) or (
        region is None and phonenumbers.is_possible_number(number)
    )
