"""Text that was not UTF-8: bytes that could not be decoded, and the encoding that they are in.

Python keeps such bytes as lone surrogates (PEP 383). Owns the guess between the encodings of
Chinese and of Western Europe. Knows nothing of files.
"""

from __future__ import annotations

import re

_ESCAPED = re.compile("[\udc80-\udcff]")
_HIGH_BYTES = re.compile(rb"[\x80-\xff]+")
_WESTERN = re.compile(
    rb"(?<=[A-Za-z])[\x80-\xff]{2}(?=[A-Za-z])|(?<![\x80-\xff])[\x80-\xff](?![\x80-\xff])"
)


def has_escaped_bytes(text: str) -> bool:
    """Return whether bytes of the text could not be decoded."""
    return _ESCAPED.search(text) is not None


def decoded(text: str) -> tuple[str, str] | None:
    """Return the text with its bytes decoded, and the encoding; None if none fits."""
    data = text.encode("utf-8", "surrogateescape")
    for encoding in (guess(data), "gb18030", "cp1252"):
        try:
            return data.decode(encoding), encoding
        except UnicodeDecodeError:
            continue
    return None


def guess(data: bytes) -> str:
    """Return the encoding that bytes which are not UTF-8 are likely in.

    A Chinese character takes two bytes, of which the first is high and the second mostly is. In
    Western text a high byte stands alone, or as one of two within a word.
    """
    runs = len(_HIGH_BYTES.findall(data))
    western = len(_WESTERN.findall(data))
    return "cp1252" if 2 * western >= runs else "gb18030"
