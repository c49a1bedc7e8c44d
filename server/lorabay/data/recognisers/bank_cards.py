"""Bank cards: Luhn's check digit, and a word for cards near them or the form of a card.

One order number of ten passes Luhn's check, so that alone says little. Four digits at a time, or
the nineteen of UnionPay, are the form of a card.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lorabay.data.recognisers.cues import is_called
from lorabay.data.recognisers.finding import Finding, Kind
from lorabay.data.recognisers.view import GAP, digits_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.data.recognisers.view import View

_RUN = re.compile(rf"(?<!\d)[2-9]\d(?:{GAP}{{0,2}}\d){{11,17}}(?![\dA-Za-z])")
_CUE = re.compile(
    r"卡|银行|账号|帐号|账户|户头|开户|刷|汇款|转账|打款|还款|提现|绑定|"
    r"(?i:(?<![a-z])(?:cards?|cardholder|visa|mastercard|amex|american express|debit|credit|"
    r"unionpay|account|acct|iban|pan|bank)(?![a-z]))"
)
_GROUPED = re.compile(
    r"\d{4}([ -])\d{4}\1\d{4}\1\d{1,4}(?:\1\d{1,3})?|3[47]\d{2}([ -])\d{6}\2\d{5}"
)
_ISSUERS = re.compile(r"62|4|5[1-5]|2[2-7]|3[47]|3[05689]|6011|65|60")


def find(view: View) -> Iterator[Finding]:
    """Yield numbers of bank cards."""
    if not view.has_digit:
        return

    for reading in {view.plain, view.digits}:
        for match in _RUN.finditer(reading):
            start, end = match.start(), _end_of_card(reading, match.start(), match.end())
            if end is None:
                continue
            number = digits_of(reading[start:end])
            yield Finding(Kind.BANK_CARD, start, end, _score(view, reading, start, end, number))


def _end_of_card(reading: str, start: int, end: int) -> int | None:
    """Return where a card ends that begins at `start`; what follows a gap may be another number."""
    while True:
        number = digits_of(reading[start:end])
        if len(number) < 13:
            return None
        if is_card(number):
            return end
        gaps = list(re.finditer(GAP, reading[start:end]))
        if not gaps:
            return None
        end = start + gaps[-1].start()


def is_card(number: str) -> bool:
    """Return whether digits begin as an issuer's do and pass Luhn's check."""
    from stdnum import luhn

    return _ISSUERS.match(number) is not None and bool(luhn.is_valid(number))


def _score(view: View, reading: str, start: int, end: int, number: str) -> float:
    if is_called(view, start, end, _CUE):
        return 0.95
    if _GROUPED.fullmatch(reading, start, end):
        return 0.85
    if number.startswith("62") and len(number) in {16, 19}:
        return 0.7
    return 0.3
