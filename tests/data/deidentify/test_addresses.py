"""Surrogates of addresses."""

from __future__ import annotations

from lorabay.data.deidentify.addresses import address
from lorabay.data.deidentify.keys import Key

KEY = Key(b"0123456789abcdef")


def test_a_chinese_address_keeps_its_city_and_its_form() -> None:
    """No name of a street or an estate, and no number."""
    made = address("浙江省杭州市西湖区文三路478号华星时代广场A座1103室", KEY)
    assert made.startswith("浙江省杭州市")
    for word in ("西湖", "文三", "478", "华星", "1103"):
        assert word not in made
    assert made.endswith("室")
    assert "路" in made
    assert made == address("浙江省杭州市西湖区文三路478号华星时代广场A座1103室", KEY)


def test_an_address_in_latin_letters_keeps_its_city_and_state() -> None:
    """And the first digits of a code."""
    made = address("742 Evergreen Terrace, Springfield, IL 62704", KEY)
    assert "Evergreen" not in made
    assert "742" not in made
    assert "Terrace, Springfield, IL 627" in made
    assert address("Flat 12, 40 Queen's Road", KEY).startswith("Flat ")
    assert "Queen" not in address("Flat 12, 40 Queen's Road", KEY)
    assert address("P.O. Box 4471, Boise, ID 83701", KEY).startswith("P.O. Box ")


def test_a_street_that_does_not_stand_first_is_another() -> None:
    """After flats and towers; the city stays."""
    made = address("Flat B, 12/F, Tower 2, 18 Hung Hom Road, Kowloon, Hong Kong", KEY)
    assert "Hung" not in made
    assert made.endswith("Road, Kowloon, Hong Kong")
    assert address("the corner of 5th and Pine", KEY).startswith("the corner of ")


def test_a_place_without_a_street_is_another() -> None:
    """A name alone, and a code alone."""
    assert "枫林绿洲" not in address("枫林绿洲", KEY)
    assert address("94107", KEY)[:3] == "941"
    assert address("94107", KEY) != "94107"
