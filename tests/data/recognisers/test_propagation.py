"""A name that was found once."""

from __future__ import annotations

from lorabay.data.recognisers.finding import Finding, Kind
from lorabay.data.recognisers.propagation import again
from lorabay.data.recognisers.view import View


def _again(first: str, name: str, second: str) -> list[str]:
    views = [View(first), View(second)]
    at = first.index(name)
    found = [[Finding(Kind.NAME, at, at + len(name), 0.9)], []]
    return [second[one.start : one.end] for one in list(again(views, found))[1]]


def test_a_name_is_found_in_all_turns_with_its_parts() -> None:
    """A part that is also a word is not."""
    assert _again("我叫王丽华", "王丽华", "丽华在吗，王丽华呢") == ["丽华", "王丽华"]
    assert _again("我叫于海洋", "于海洋", "海洋馆，于海洋") == ["于海洋"]
    assert _again("I'm Anna Lindqvist", "Anna Lindqvist", "Lindqvist? Annabel?") == ["Lindqvist"]
    assert _again("I'm Will Parker", "Will Parker", "Will it do? Will Parker") == ["Will Parker"]


def test_without_names_there_are_none() -> None:
    """In any text."""
    assert list(again([View("a"), View("b")], [[], []])) == [[], []]
