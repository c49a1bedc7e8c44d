"""Words and the parts of names."""

from __future__ import annotations

from lorabay.data.recognisers.lexicon import name_parts, words


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
