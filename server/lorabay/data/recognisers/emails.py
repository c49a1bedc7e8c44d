"""E-mail addresses, also with the signs spelt out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lorabay.data.recognisers.finding import Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.data.recognisers.view import View

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})"
_EMAIL = re.compile(
    rf"(?<![A-Za-z0-9._%+-])[A-Za-z0-9_%+-][A-Za-z0-9._%+-]{{0,63}}\s?@\s?(?:{_LABEL}\.)+[A-Za-z]{{2,24}}"
)
_SPELT = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9_%+-](?:[A-Za-z0-9._%+-]| dot (?=[A-Za-z0-9])){0,63}"
    rf"\s?(?:\(at\)|\[at\]| at |#at#|艾特)\s?{_LABEL}(?:(?:\.| dot |点)[A-Za-z0-9-]{{2,30}})+",
    re.IGNORECASE,
)
_DOT_WORD = re.compile(r" dot |点|\(at\)|\[at\]|#at#|艾特", re.IGNORECASE)


def find(view: View) -> Iterator[Finding]:
    """Yield addresses of e-mail."""
    plain = view.plain
    if "@" in plain:
        for match in _EMAIL.finditer(plain):
            yield Finding(Kind.EMAIL, *match.span(), 0.95)

    if _DOT_WORD.search(plain):
        for match in _SPELT.finditer(plain):
            if _DOT_WORD.search(match[0]):
                yield Finding(Kind.EMAIL, *match.span(), 0.8)
