"""Chinese words and the parts of Chinese names, with how frequent they are.

A weight is minus the natural logarithm of a frequency, so weights of what stands in a row add up.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

LONGEST = 4
"""Characters of a word at most."""

_OFTEN, _PRODUCT, _RARE = 10.0, 12.0, 7.5

_SELDOM, _LIKE_A_NAME = 10.5, 2.0
"""What a rare word weighs at least, and what it weighs more if it begins with a surname.

江山 and 白杨 are people more often than in the news that words were counted in.
"""


@dataclass(frozen=True, slots=True)
class NameParts:
    """Weights of surnames, and of the first and the last character of given names."""

    surnames: Mapping[str, float]
    first: Mapping[str, float]
    last: Mapping[str, float]


@cache
def words() -> Mapping[str, float]:
    """Return the weights of words of up to four characters."""
    weights = dict(_weighted(_lines("chinese_words.txt")))
    surnames = name_parts().surnames
    for word in list(weights):
        # The dictionary has people, too: 老张, 小林.
        if word[0] in "小老" and len(word) == 2 and surnames.get(word[1], _RARE) < _RARE:
            del weights[word]
        elif len(word) in (2, 3) and weights[word] >= _SELDOM and _begins_like_a_name(word):
            weights[word] += _LIKE_A_NAME
    _take(weights, "chinese_products.txt", _PRODUCT)
    _take(weights, "chinese_service_words.txt", _OFTEN)
    return weights


def _begins_like_a_name(word: str) -> bool:
    surnames = name_parts().surnames
    return word[0] in surnames or word[:2] in surnames


def _take(weights: dict[str, float], name: str, most: float) -> None:
    """Add the words of a list, of a longer one its beginning; none weighs more than that."""
    for line in _lines(name):
        for word in (one[:LONGEST] for one in line.split()):
            weights[word] = min(most, weights.get(word, most))


@cache
def name_parts() -> NameParts:
    """Return the parts of names."""
    parts: dict[str, list[str]] = {}
    section: list[str] = []
    for line in _lines("chinese_names.txt"):
        if line.startswith("["):
            section = parts.setdefault(line.strip("[]"), [])
        else:
            section.append(line)
    return NameParts(*(dict(_weighted(parts[name])) for name in ("surname", "first", "second")))


@cache
def foreign_letters() -> frozenset[str]:
    """Return the characters that foreign names are written in."""
    return frozenset("".join(_lines("foreign_letters.txt")))


@cache
def usual_given_names() -> frozenset[str]:
    """Return given names that so many people have that they are known without a surname."""
    from faker.providers.person.zh_CN import Provider

    return frozenset(name for name in Provider.first_names if len(name) == 2)


def _lines(name: str) -> list[str]:
    text = files(__package__).joinpath(name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if not line.startswith("#")]


def _weighted(lines: Iterable[str]) -> Iterator[tuple[str, float]]:
    for line in lines:
        figure, *found = line.split()
        for word in found:
            yield word, int(figure) / 2
