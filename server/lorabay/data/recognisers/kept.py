"""Numbers that stay by rule: of orders, parcels, tickets, invoices, models, versions, and prices.

They are what an answer is about. A number is such a one if its name stands directly before it, so
that a phone number in an order's text is none. The letters of a code such as BW-204817 are no name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lorabay.data.recognisers.finding import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorabay.data.recognisers.finding import Finding
    from lorabay.data.recognisers.view import View

NUMBERS = frozenset(
    {Kind.PHONE, Kind.BANK_CARD, Kind.IDENTITY_CARD, Kind.PASSPORT, Kind.IP_ADDRESS}
)
"""Kinds that such a number could be taken for."""

_CHINESE = (
    "订单|定单|单号|单据|运单|快递|物流|工单|流水|交易|发票|编号|编码|型号|货号|料号|批号|条码|"
    "序列号|取件码|验证码|版本|固件|参考号|案件|申请号|预约号|票号|合同|商品"
)
_ENGLISH = (
    r"orders?|tickets?|tracking|parcel|shipment|invoice|case|reference|ref|sku|part|model|serial|"
    r"item|product|version|build|firmware|transaction|booking|confirmation|incident|rma|batch|"
    r"contract|claim|receipt|po|isbn|upc|ean|imei|s/n"
)
# More of the same word, never the next sentence: "Order 4711. Call me on 212-553-8116".
_REST = r"[\dA-Za-z]*(?:[.\-][\dA-Za-z]+)*"
_NAMED = re.compile(
    rf"(?:(?:{_CHINESE})(?:号码|编号|号|码|ID|id)?|"
    rf"(?<![A-Za-z])(?:{_ENGLISH})(?:[ -]?(?:numbers?|nos?\.?|num|id|code|#))?)"
    r"[ \t]*(?:是|为|:|#|=|is|was|\(|\[|\"|“|【)?[ \t]*#?"
    rf"(?P<number>[A-Za-z]{{0,6}}-?\d{_REST}(?: \d{{1,5}}(?!\d){_REST})*)",
    re.IGNORECASE,
)
_CODE = re.compile(r"(?<![A-Za-z])(?:[A-Za-z]{1,6}-|[A-Z]{1,3})(?=\d{4})")
_VERSION = re.compile(r"(?<![A-Za-z])[vV]\.?(?P<number>\d+(?:\.\d+){1,4})")
_PRICE = re.compile(
    r"[¥$€£￥]\s?(?P<number>\d[\d,. ]*)|(?P<amount>\d[\d,.]*)\s?(?:元|块|美元|USD|RMB|CNY)"
)


def kept_places(view: View) -> list[tuple[int, int]]:
    """Return where numbers stand that stay."""
    plain = view.plain
    places = [match.span("number") for match in _NAMED.finditer(plain)]
    places += [match.span("number") for match in _VERSION.finditer(plain)]
    for match in _PRICE.finditer(plain):
        places.append(match.span("number") if match["number"] else match.span("amount"))
    return places


def without_kept(findings: Sequence[Finding], view: View) -> list[Finding]:
    """Return the findings but those that begin in a number that stays."""
    stay = NUMBERS | {Kind.NAME}
    if not any(one.entity_type in stay for one in findings):
        return list(findings)

    numbers = kept_places(view)
    codes = [match.span() for match in _CODE.finditer(view.plain)]
    return [
        one
        for one in findings
        if not _begins_in(one, numbers if one.entity_type in NUMBERS else codes)
        or one.entity_type not in stay
    ]


def _begins_in(one: Finding, places: Sequence[tuple[int, int]]) -> bool:
    return any(start <= one.start < end for start, end in places)
