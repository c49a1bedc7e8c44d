"""Characters that nobody sees: controls, marks of byte order, ones without width.

Ends of lines become line feeds.
"""

from __future__ import annotations

import re

# The joiners U+200C and U+200D stay: emoji and several scripts are written with them.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u200b\u2060\ufeff\ufffe\uffff\ud800-\udfff"
    "\u202a-\u202e\u2066-\u2069]"
)
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_LINE_END = re.compile("\r\n?|\u2028|\u2029|\x85")


def without_unseen(text: str) -> str:
    """Return a text without what nobody sees, its lines ended by line feeds."""
    if text.isascii() and text.isprintable():
        return text

    text = _LINE_END.sub("\n", text)
    text = _ESCAPE.sub("", text)
    return _UNSEEN.sub("", text)
