"""Putting other letters and digits where letters and digits stood, in the same script.

Full-width digits stay full-width, Chinese numerals Chinese; spaces and dashes stay where they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from unicodedata import category, decimal

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
    """Return the letters and digits of a text in normal width, numerals as digits.

    Digits of all scripts are among them, and of letters the Latin ones without accents.
    """
    return "".join(_plain(char) for char in View(text).digits if _is_plain(_plain(char)))


def is_plain(text: str) -> bool:
    """Return whether `compact` has all letters and digits of a text, of which there are some."""
    letters = [char for char in View(text).digits if char.isalnum() or category(char)[0] == "M"]
    return bool(letters) and all(_is_plain(_plain(char)) for char in letters)


def _is_plain(char: str) -> bool:
    return char.isascii() and char.isalnum()


def _plain(char: str) -> str:
    """Return a digit of any script as 0 to 9, and any other character as it is."""
    return str(decimal(char)) if char.isdecimal() else char


def rewritten(text: str, letters: str) -> str:
    """Return a text with `letters` in place of its own letters and digits, one for one."""
    rest = iter(letters)
    return "".join(
        _written(next(rest), old) if _is_plain(_plain(plain)) else old
        for old, plain in zip(text, View(text).digits, strict=True)
    )


def _written(new: str, old: str) -> str:
    """Return a letter or digit in the script of the one that it replaces."""
    if old in NUMERALS and new.isdigit():
        return (_FINANCIAL if old in _FINANCIAL[1:] else _SPOKEN)[int(new)]
    if old.isdecimal() and new.isdigit():
        return _digit(int(new), old)
    return chr(ord(new) + _WIDTH) if ord(old) > _WIDTH else new


def _digit(value: int, like: str) -> str:
    """Return the digit of a value in the script of another digit."""
    # The ten digits of a script stand in a row.
    return chr(ord(like) - decimal(like) + value)


_ALPHABETS: Mapping[str, str] = {
    char: alphabet for alphabet in (DIGITS, LOWER, UPPER) for char in alphabet
}


def redrawn(letters: str, draws: Draws, only: str = DIGITS + LOWER + UPPER) -> str:
    """Return other letters for letters and other digits for digits; what is not in `only` stays.

    Letters of other scripts stay, too.
    """
    return "".join(
        _redrawn(char, draws) if _plain(char) in only and _plain(char) in _ALPHABETS else char
        for char in letters
    )


def _redrawn(char: str, draws: Draws) -> str:
    drawn = draws.choice(_ALPHABETS[_plain(char)])
    return _digit(int(drawn), char) if char.isdecimal() else drawn


def reshaped(text: str, draws: Draws) -> str:
    """Return a text with all letters and digits that `compact` has drawn anew."""
    letters = compact(text)
    for _ in range(8):
        drawn = redrawn(letters, draws)
        if drawn != letters:
            break
    return rewritten(text, drawn)
