"""Passports and passes of travel: by their form where called so, Chinese ones also without."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lorabay.data.recognisers.cues import is_called
from lorabay.data.recognisers.finding import Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.data.recognisers.view import View

_CUE = re.compile(r"护照|通行证|台胞证|回乡证|(?i:passports?|travel document)")
_CHINESE = re.compile(r"(?<![A-Za-z0-9])(?:E[A-HJ-NP-Z]?|G|D|S|P[ES]?)[ -]?\d{7,8}(?![A-Za-z0-9])")
_ANY = re.compile(
    r"(?<![A-Za-z0-9])(?=[A-Z0-9 -]*\d{4})(?:[A-Z]{1,3}[ -]?)?\d{6,9}[A-Z]?(?![A-Za-z0-9])"
)
_SPACED = re.compile(r"(?<![A-Za-z0-9])[EGDSPHMCK](?:[ -]?\d){7,10}(?![A-Za-z0-9])")


def find(view: View) -> Iterator[Finding]:
    """Yield numbers of passports."""
    if not view.has_digit:
        return

    digits = view.digits
    is_there = _CUE.search(view.plain) is not None
    for match in _CHINESE.finditer(digits):
        called = is_there and is_called(view, *match.span(), _CUE)
        yield Finding(Kind.PASSPORT, *match.span(), 0.9 if called else 0.3)

    if is_there:
        for pattern in (_ANY, _SPACED):
            for match in pattern.finditer(digits):
                if is_called(view, *match.span(), _CUE):
                    yield Finding(Kind.PASSPORT, *match.span(), 0.8)
