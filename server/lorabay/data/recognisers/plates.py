"""Licence plates: Chinese ones by their form, others where they are called so."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lorabay.data.recognisers.cues import is_called
from lorabay.data.recognisers.finding import Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.data.recognisers.view import View

PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"

_PLATE = re.compile(
    rf"[{PROVINCES}][ ]?[A-HJ-NP-Za-hj-np-z][ ]?[·•・.\-]?[ ]?"
    r"(?=(?:[ ]?[A-Za-z]){0,3}[ ]?\d|[A-Za-z]?\d)"
    r"(?:[A-HJ-NP-Za-hj-np-z0-9][ ]?){4,5}[A-HJ-NP-Za-hj-np-z0-9挂学警港澳领](?![A-Za-z0-9])"
)
_OTHER = re.compile(
    r"(?<![A-Za-z0-9])(?=[A-Z]*\d)(?=\d*[A-Z])[A-Z0-9]{2,4}[ -]?[A-Z0-9]{3,4}(?![A-Za-z0-9])"
)
_CUE = re.compile(
    r"车牌|(?i:licen[cs]e plates?|plate number|registration|(?<![a-z])plates?(?![a-z]))"
)


def find(view: View) -> Iterator[Finding]:
    """Yield plates."""
    if not view.has_digit:
        return

    for match in _PLATE.finditer(view.plain):
        yield Finding(Kind.LICENCE_PLATE, *match.span(), 0.9)
    if _CUE.search(view.plain):
        for match in _OTHER.finditer(view.plain):
            if is_called(view, *match.span(), _CUE, after=0):
                yield Finding(Kind.LICENCE_PLATE, *match.span(), 0.6)
