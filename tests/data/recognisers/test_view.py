"""A text as recognisers read it."""

from __future__ import annotations

from hypothesis import given, strategies as st

from lorabay.data.recognisers.view import View, digits_of


def test_width_and_numerals_are_read_alike() -> None:
    """A lone numeral is a word."""
    view = View("Ｔｅｌ：１３８—一三八零零一三八零零零，一个")
    assert view.plain == "Tel:138-一三八零零一三八零零零,一个"
    assert view.digits == "Tel:138-13800138000,一个"
    assert view.has_digit
    assert view.has_chinese
    assert not View("plain").has_chinese


def test_traditional_characters_are_read_as_simplified() -> None:
    """All that are frequent, so that 陳先生 is found as 陈先生 is."""
    assert View("陳先生，板橋區5號3樓").plain == "陈先生,板桥区5号3楼"
    assert View("簡訊與訂單").plain == "简讯与订单"


@given(st.text(max_size=60))
def test_a_place_in_the_view_is_a_place_in_the_text(text: str) -> None:
    """No character is added or left out."""
    assert len(View(text).plain) == len(View(text).digits) == len(text)


def test_what_stands_near_is_of_the_same_line() -> None:
    """A cue in another line says nothing."""
    view = View("card\nno 1234 yes\ncard")
    assert view.before(8, 40) == "no "
    assert view.after(12, 40) == " yes"
    assert digits_of("1-2 a") == "12"
