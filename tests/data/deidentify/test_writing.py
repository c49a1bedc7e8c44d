"""Other letters and digits in the same script."""

from __future__ import annotations

from lorabay.data.deidentify.keys import Key
from lorabay.data.deidentify.writing import compact, is_plain, redrawn, reshaped, rewritten

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


def test_digits_of_all_scripts_are_digits() -> None:
    """Each is replaced by one of its own script."""
    assert compact("१२-٣٤") == "1234"
    assert rewritten("१२-٣٤", "5678") == "५६-٧٨"

    made = redrawn("१२٣٤", KEY.draws("X", "y"))
    assert made != "१२٣٤"
    assert all("०" <= char <= "९" for char in made[:2])
    assert all("٠" <= char <= "٩" for char in made[2:])


def test_what_cannot_be_drawn_anew_is_told() -> None:
    """Letters of other scripts, and a text without any letter or digit."""
    assert is_plain("EMP-１２")
    assert not is_plain("采购3科")
    assert not is_plain("Gr\u00fcn")
    assert not is_plain("Gru\u0308n")
    assert not is_plain("***")
