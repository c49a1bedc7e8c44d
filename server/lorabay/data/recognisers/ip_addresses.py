"""Addresses of the internet that are somebody's: no private ones, and no well-known servers."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import TYPE_CHECKING

from lorabay.data.recognisers.finding import Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.data.recognisers.view import View

KNOWN = (
    "8.8.8.8 8.8.4.4 1.1.1.1 1.0.0.1 9.9.9.9 114.114.114.114 114.114.115.115 223.5.5.5 223.6.6.6 "
    "119.29.29.29 180.76.76.76 208.67.222.222 208.67.220.220"
)
"""Public name servers, which instructions name."""

_FOUR = re.compile(r"(?<![\d.])(?<![vV])\d{1,3}(?:\s?\.\s?\d{1,3}){3}(?!\.?\d)")
_SIX = re.compile(r"(?<![A-Za-z0-9_:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![A-Za-z0-9_:])")
_VERSION = re.compile(
    r"(?i:version|(?<![a-z])ver\.?|firmware|build|driver|版本|固件|驱动)\s*(?:号|是|为|:|is)?\s*[vV]?$"
)


def find(view: View) -> Iterator[Finding]:
    """Yield addresses of both versions."""
    if not view.has_digit:
        return

    for reading in {view.plain, view.digits}:
        for pattern in (_FOUR, _SIX):
            for match in pattern.finditer(reading):
                if _is_somebodys(match[0]) and not _VERSION.search(view.before(match.start(), 24)):
                    yield Finding(Kind.IP_ADDRESS, *match.span(), 0.85)


def _is_somebodys(text: str) -> bool:
    compact = "".join(text.split())
    try:
        address = ip_address(compact)
    except ValueError:
        return False
    return address.is_global and compact not in KNOWN.split()
