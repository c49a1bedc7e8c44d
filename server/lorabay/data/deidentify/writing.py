"""Putting other letters and digits where letters and digits stood, in the same script.

Full-width digits stay full-width, Chinese numerals Chinese; spaces and dashes stay where they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.data.recognisers.view import NUMERALS, View

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorabay.data.deidentify.keys import Draws

DIGITS = "0123456789"
LOWER = "abcdefghijklmnopqrstuvwxyz"
UPPER = LOWER.upper()

_SPOKEN = "零一二三四五六七八九"
_FINANCIAL = "零壹贰叁肆伍陆柒捌玖"
_WIDTH = 0xFEE0


def compact(text: str) -> str:
    """Return the letters and digits of a text in normal width, numerals as digits."""
    return "".join(char for char in View(text).digits if char.isascii() and char.isalnum())


def rewritten(text: str, letters: str) -> str:
    """Return a text with `letters` in place of its own letters and digits, one for one."""
    rest = iter(letters)
    return "".join(
        _written(next(rest), old) if plain.isascii() and plain.isalnum() else old
        for old, plain in zip(text, View(text).digits, strict=True)
    )


def _written(new: str, old: str) -> str:
    """Return a letter or digit in the script of the one that it replaces."""
    if old in NUMERALS and new.isdigit():
        return (_FINANCIAL if old in _FINANCIAL[1:] else _SPOKEN)[int(new)]
    return chr(ord(new) + _WIDTH) if ord(old) > _WIDTH else new


_ALPHABETS: Mapping[str, str] = {
    char: alphabet for alphabet in (DIGITS, LOWER, UPPER) for char in alphabet
}


def redrawn(letters: str, draws: Draws, only: str = DIGITS + LOWER + UPPER) -> str:
    """Return other letters for letters and other digits for digits; what is not in `only` stays."""
    return "".join(
        draws.choice(_ALPHABETS[char]) if char in only and char in _ALPHABETS else char
        for char in letters
    )


def reshaped(text: str, draws: Draws) -> str:
    """Return a text with all letters and digits drawn anew."""
    letters = compact(text)
    for _ in range(8):
        drawn = redrawn(letters, draws)
        if drawn != letters:
            break
    return rewritten(text, drawn)
