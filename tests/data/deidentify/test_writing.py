"""Other letters and digits in the same script."""

from __future__ import annotations

from lorabay.data.deidentify.keys import Key
from lorabay.data.deidentify.writing import compact, redrawn, reshaped, rewritten

KEY = Key(b"0123456789abcdef")


def test_digits_are_written_as_those_that_they_replace() -> None:
    """Full width, Chinese numerals, spaces and dashes."""
    assert compact("１３-一三八零零一") == "13138001"
    assert rewritten("１３-一三八零零一", "24249112") == "２４-二四九一一二"
    assert rewritten("壹贰叁肆伍陆", "654321") == "陆伍肆叁贰壹"


def test_a_shape_stays() -> None:
    """Capitals, small letters, digits, and what is neither."""
    made = reshaped("EMP-12ab", KEY.draws("X", "EMP-12ab"))
    assert made != "EMP-12ab"
    assert made[:3].isupper()
    assert (made[3], made[4:6].isdigit(), made[6:].islower()) == ("-", True, True)
    assert redrawn("AB12", KEY.draws("X", "y"), only="0123456789")[:2] == "AB"
