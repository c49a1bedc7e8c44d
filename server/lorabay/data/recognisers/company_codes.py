"""Codes of Chinese companies: eighteen characters, the last of which checks the others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lorabay.data.recognisers.finding import Finding, Kind
from lorabay.data.recognisers.view import GAP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.data.recognisers.view import View

_CODE = re.compile(
    rf"(?<![A-Za-z0-9])(?:[0-9A-HJ-NP-RTUW-Y]{GAP}?)[1-9](?:{GAP}?\d){{6}}"
    rf"(?:{GAP}?[0-9A-HJ-NP-RTUW-Y]){{10}}(?![A-Za-z0-9])",
    re.IGNORECASE,
)


def find(view: View) -> Iterator[Finding]:
    """Yield codes whose check character is right."""
    if not view.has_digit:
        return

    from stdnum.cn import uscc

    for match in _CODE.finditer(view.plain):
        if uscc.is_valid(re.sub(GAP, "", match[0])):
            yield Finding(Kind.COMPANY_CODE, *match.span(), 0.97)
