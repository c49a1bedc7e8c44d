"""Words and the parts of names."""

from __future__ import annotations

from lorabay.data.recognisers.lexicon import (
    LONGEST,
    foreign_letters,
    name_parts,
    usual_given_names,
    words,
)


def test_what_is_frequent_weighs_little() -> None:
    """Of words, surnames and characters of given names alike."""
    assert words()["我们"] < words()["高兴"] < words()["闪退"]
    assert words()["客服"] <= 10
    parts = name_parts()
    assert parts.surnames["王"] < parts.surnames["欧阳"]
    assert parts.last["华"] < parts.last["梅"]
    assert len(words()) > 40_000


def test_people_are_no_words() -> None:
    """The dictionary that they are from has some."""
    assert "老张" not in words()
    assert "小米" in words()


def test_a_long_product_is_known_by_its_beginning() -> None:
    """No word that is looked up has more characters."""
    assert "廖记棒棒" in words()
    assert max(map(len, words())) == LONGEST


def test_usual_given_names_are_known() -> None:
    """Some of them are words, too."""
    assert {"建华", "秀英"} <= usual_given_names()
    assert "建华" in words()
    assert all(len(name) == 2 for name in usual_given_names())


def test_foreign_names_have_letters_of_their_own() -> None:
    """Also those of Uyghurs and Tibetans, and no signs."""
    assert set("彼得罗维奇维克托雨果罕木提卓玛") <= foreign_letters()
    assert not set("的是我# ") & foreign_letters()
