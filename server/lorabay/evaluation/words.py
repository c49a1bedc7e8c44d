"""Words of text in English and Chinese, where a Chinese character counts as a word."""

from __future__ import annotations

import re

_WORD = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]|[^\W_\u3400-\u9fff\uf900-\ufaff]+")
_CHINESE = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")


def words(text: str) -> list[str]:
    """Return the lower-case words of a text, and every Chinese character as a word."""
    return _WORD.findall(text.lower())


def chinese_share(text: str) -> float:
    """Return how many of the words are Chinese characters, 0 to 1; 0 for a text without words."""
    found = words(text)
    return sum(bool(_CHINESE.match(word)) for word in found) / len(found) if found else 0.0
