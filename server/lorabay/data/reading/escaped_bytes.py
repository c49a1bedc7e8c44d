"""Text that was not UTF-8: bytes that could not be decoded, and the encoding that they are in.

Python keeps such bytes as lone surrogates (PEP 383). Owns the guess between the encodings of
Chinese and of Western Europe, and of what is UTF-8 but for some bytes, which nothing repairs. Knows
nothing of files.
"""

from __future__ import annotations

import re

_ESCAPED = re.compile("[\udc80-\udcff]")
_ASCII = re.compile(r"[\x00-\x7f]+")
_HIGH_BYTES = re.compile(rb"[\x80-\xff]+")
_WESTERN = re.compile(
    rb"(?<=[A-Za-z])[\x80-\xff]{2}(?=[A-Za-z])|(?<![\x80-\xff])[\x80-\xff](?![\x80-\xff])"
)

_SURELY_UTF8 = re.compile(
    # What takes three bytes or more is hardly ever text of another encoding.
    "[\u0800-\ud7ff\ue000-\U0010ffff]"
    # What takes two is one by chance in each few characters of Chinese, but then not by itself, and
    # no word of one script.
    "|(?<![^\\x00-\\x7f])[\u0080-\u07ff](?![^\\x00-\\x7f])"
    "|[\u0370-\u03ff]{3,}|[\u0400-\u052f]{3,}|[\u0590-\u05ff]{3,}|[\u0600-\u06ff]{3,}"
)


def has_escaped_bytes(text: str) -> bool:
    """Return whether bytes of the text could not be decoded."""
    return _ESCAPED.search(text) is not None


def decoded(text: str) -> tuple[str, str] | None:
    """Return the text with its bytes decoded, and the encoding; None if none fits.

    None fits a text that is mostly UTF-8: the others would spoil what was right.
    """
    if _is_mostly_utf8(text):
        return None

    data = text.encode("utf-8", "surrogateescape")
    for encoding in (guess(data), "gb18030", "cp1252"):
        try:
            return data.decode(encoding), encoding
        except UnicodeDecodeError:
            continue
    return None


def _is_mostly_utf8(text: str) -> bool:
    """Return whether most bytes that are not ASCII are surely of UTF-8."""
    sure = len("".join(_SURELY_UTF8.findall(text)).encode())
    high = len(_ASCII.sub("", text).encode("utf-8", "surrogateescape"))
    return 2 * sure > high


def guess(data: bytes) -> str:
    """Return the encoding that bytes which are not UTF-8 are likely in.

    A Chinese character takes two bytes, of which the first is high and the second mostly is. In
    Western text a high byte stands alone, or as one of two within a word.
    """
    runs = len(_HIGH_BYTES.findall(data))
    western = len(_WESTERN.findall(data))
    return "cp1252" if 2 * western >= runs else "gb18030"
