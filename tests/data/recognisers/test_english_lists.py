"""Lists of names and words."""

from __future__ import annotations

from lorabay.data.recognisers.english_lists import (
    common_words,
    first_names,
    foreign_first_names,
    is_listed,
    is_pinyin_name,
    surnames,
    word_names,
)


def test_the_lists_have_what_they_should() -> None:
    """In small letters, and no word among the names of other countries."""
    assert {"jessica", "michael"} <= first_names()
    assert {"smith", "johnson"} <= surnames()
    assert {"may", "will", "mark"} <= word_names()
    assert {"refund", "monday", "the"} <= common_words()
    assert len(foreign_first_names()) > 3000
    assert not foreign_first_names() & common_words()


def test_words_of_services_are_common() -> None:
    """And the names among them were left out."""
    assert {"valued", "voucher", "algorithm"} <= common_words()
    assert not {"pam", "deb", "bond"} & common_words()


def test_a_name_of_any_list_is_listed() -> None:
    """Of first names, of surnames, of words that are names."""
    assert all(map(is_listed, ["jessica", "lakshmi", "smith", "will"]))
    assert not is_listed("thermostat")


def test_pinyin_is_told_by_surname_and_syllables() -> None:
    """In either order."""
    assert is_pinyin_name("zhang", "wei")
    assert is_pinyin_name("xiaoming", "li")
    assert not is_pinyin_name("zhang", "support")
