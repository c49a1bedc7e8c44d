"""Surrogates of names."""

from __future__ import annotations

from lorabay.data.deidentify.keys import Key
from lorabay.data.deidentify.names import name

KEY = Key(b"0123456789abcdef")


def test_all_forms_of_a_name_go_on_belonging_together() -> None:
    """The surname alone, the given name alone, another case."""
    whole = name("王丽华", KEY)
    assert len(whole) == 3
    assert name("王", KEY) == whole[0] != "王"
    assert name("丽华", KEY) == whole[1:] != "丽华"
    first, last = name("Anna Lindqvist", KEY).split()
    assert name("Lindqvist", KEY) == last
    assert name("ANNA", KEY) == first.upper()
    assert name("anna", KEY) == first.lower()


def test_the_form_of_a_name_stays() -> None:
    """Two surnames, particles, initials, dots."""
    assert len(name("欧阳娜", KEY)) == 2
    assert name("Lucas van der Berg", KEY).split()[1:3] == ["van", "der"]
    assert len(name("J. Okafor", KEY).split()[0]) == 2
    assert "·" in name("阿依古丽·买买提", KEY)


def test_nobody_keeps_a_name() -> None:
    """Under any of many keys."""
    for number in range(50):
        key = Key(f"{number:016}".encode())
        assert name("王芳", key)[0] != "王"
        assert name("Mary", key) != "Mary"
