"""Lines of a text: spaces at their ends, empty ones, and ones that repeat."""

from __future__ import annotations

import re
from itertools import groupby

_MANY = 3
_MANY_EMPTY = re.compile(r"\n{3,}")
_END_SPACE = re.compile(r"[^\S\n]+(?=\n|\Z)")


def trimmed(text: str) -> str:
    """Return a text without spaces at the ends of lines, and with one empty line where many were.

    Spaces at the beginning of a line stay: they may be those of a list or of code.
    """
    text = _END_SPACE.sub("", text)
    return _MANY_EMPTY.sub("\n\n", text).strip()


def collapsed(text: str) -> str:
    """Return a text in which a line of words that stands there three times in a row stands once.

    Two may be meant: an amount that was booked twice, say.
    """
    if "\n" not in text:
        return text

    kept: list[str] = []
    for line, copies in groupby(text.split("\n")):
        lines = list(copies)
        says_something = len(line.strip()) > 3 and any(char.isalpha() for char in line)
        kept.extend(lines[:1] if says_something and len(lines) >= _MANY else lines)
    return "\n".join(kept)
