"""A name that was found once in a conversation, found in all of its turns, and its parts with it.

After `王丽华` was found, `丽华` is found; after `Anna Lindqvist`, `Lindqvist`. A part that is also
a word is left to what stands around it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lorabay.data.recognisers.english_lists import common_words, word_names
from lorabay.data.recognisers.finding import Finding, Kind
from lorabay.data.recognisers.lexicon import words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lorabay.data.recognisers.view import View

_SCORE = 0.65
_CHINESE = re.compile("[\u4e00-\u9fff]+")
_LEAST_LATIN = 3


def again(views: Sequence[View], found: Sequence[Sequence[Finding]]) -> Iterator[list[Finding]]:
    """Yield the names of a conversation that stand in each of its texts, those found included."""
    names: set[str] = set()
    for view, findings in zip(views, found, strict=True):
        for one in findings:
            if one.entity_type == Kind.NAME:
                names |= _forms(view.plain[one.start : one.end])
    if not names:
        yield from ([] for _ in views)
        return

    pattern = _pattern(names)
    for view in views:
        yield [Finding(Kind.NAME, *match.span(), _SCORE) for match in pattern.finditer(view.plain)]


def _forms(name: str) -> set[str]:
    """Return a name and its parts that are found without anything around them."""
    if _CHINESE.fullmatch(name):
        if len(name) < 2:
            return set()
        given = name[-2:]
        is_word = given in words() and given[0] != given[1]
        return {name} if len(name) == 2 or is_word else {name, given}

    parts = {part for part in re.split(r"[\s.]+", name) if len(part) >= _LEAST_LATIN}
    kept = {part for part in parts if not _is_ordinary(part.lower())}
    small = {part.lower() for part in kept if len(part) > _LEAST_LATIN}
    capital = {part.capitalize() for part in kept}
    return kept | capital | small | ({name} if " " in name else set())


def _is_ordinary(word: str) -> bool:
    return word in common_words() or word in word_names()


def _pattern(names: set[str]) -> re.Pattern[str]:
    longest_first = sorted(names, key=lambda name: (-len(name), name))
    choices = "|".join(map(re.escape, longest_first))
    return re.compile(rf"(?<![A-Za-z])(?:{choices})(?![A-Za-z])")
