"""HTML as plain text, outside of code.

Only the tags of HTML count: `<hostname>` in a piece of advice is a placeholder. What stands between
backquotes is code, and stays.
"""

from __future__ import annotations

import html
import re

_NAMES = (
    "a|abbr|article|aside|b|blockquote|body|br|caption|center|dd|div|dl|dt|em|figure|font|footer|"
    "form|h[1-6]|head|header|hr|html|i|iframe|img|label|li|main|meta|nav|ol|p|section|small|span|"
    "strong|sub|sup|table|tbody|td|tfoot|th|thead|title|tr|u|ul"
)
_CODE = re.compile(r"(```.*?(?:```|\Z)|`[^`\n]+`)", re.DOTALL)
_UNSHOWN = re.compile(
    r"<!--.*?-->|<(script|style)\b[^>]*>.*?</\1\s*>|<!doctype[^>]*>", re.DOTALL | re.IGNORECASE
)
_ITEM = re.compile(r"\s*<li\b[^<>]*>\s*", re.IGNORECASE)
_CELL = re.compile(r"</t[dh]\s*>\s*(?=<t[dh]\b)", re.IGNORECASE)
_BREAK = re.compile(
    r"[ \t]*(?:<(?:br|hr)\s*/?>|</?(?:p|div|tr|ul|ol|table|h[1-6]|li|blockquote|section)\b[^<>]*>)"
    r"[ \t]*",
    re.IGNORECASE,
)
_TAG = re.compile(rf"</?(?:{_NAMES})(?:\s[^<>]*)?/?>", re.IGNORECASE)
_ENTITY = re.compile(
    r"&(?:nbsp|amp|lt|gt|quot|apos|hellip|mdash|ndash|ldquo|rdquo|lsquo|rsquo|"
    r"copy|reg|trade|euro|#\d{2,6}|#x[0-9a-fA-F]{2,5});"
)


def without_markup(text: str) -> str:
    """Return a text with HTML taken out and entities as characters."""
    if "<" not in text and "&" not in text:
        return text

    pieces = _CODE.split(text)
    # Every second piece is code.
    pieces[::2] = [_plain(piece) for piece in pieces[::2]]
    return "".join(pieces)


def _plain(text: str) -> str:
    if "<" in text:
        text = _UNSHOWN.sub("", text)
        text = _ITEM.sub("\n- ", text)
        text = _CELL.sub(" | ", text)
        text = _BREAK.sub("\n", text)
        text = _TAG.sub("", text)

    if "&" in text:
        text = _ENTITY.sub(_character, text).replace("\xa0", " ")
    return text


def _character(match: re.Match[str]) -> str:
    return html.unescape(match[0])
