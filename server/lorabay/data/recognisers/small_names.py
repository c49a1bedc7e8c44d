"""Names in Latin letters that are not written as names are: in small letters, or surname first.

In small letters a name counts after words that leave no doubt, or if it is on a list and a word
before or after it says that somebody is meant.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lorabay.data.recognisers.english_cues import SMALL, SMALL_ANY, SMALL_BEFORE
from lorabay.data.recognisers.english_lists import (
    common_words,
    first_names,
    foreign_first_names,
    surnames,
    word_names,
)
from lorabay.data.recognisers.finding import Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.data.recognisers.view import View

_SURE, _LIKELY = 0.85, 0.7

_NO_NAME = re.compile(
    r".*(?:ed|ing|ful|ous|able|less|tion|ness|ment|ly)$|(?:wrong|missing|spelt|spelled|different|blank|"
    r"incorrect|empty|listed|shown|cut|too|still|misspelled|misspelt)$"
)
"""What is said of a name rather than a name."""

_WORD = r"[A-Z\u00c0-\u00de][A-Za-z\u00c0-\u024f'\u2019-]+"
_REVERSED = re.compile(
    rf"(?P<last>{_WORD}), (?P<first>{_WORD})(?P<initial> [A-Z]\b\.?)?(?![A-Za-z])"
)


def find(view: View) -> Iterator[Finding]:
    """Yield names."""
    plain = view.plain
    yield from _after_labels(plain)
    yield from _of_lists(plain)
    yield from _reversed(view)


def _after_labels(plain: str) -> Iterator[Finding]:
    """Yield names in small letters, whatever they are, after words that leave no doubt."""
    for match in SMALL_ANY.finditer(plain):
        words = match["name"].split()
        while words and words[-1] in common_words():
            words.pop()

        if words and words[0] not in common_words() and not _NO_NAME.match(words[0]):
            end = match.start("name") + len(" ".join(words))
            yield Finding(Kind.NAME, match.start("name"), end, _SURE)


def _of_lists(plain: str) -> Iterator[Finding]:
    """Yield names in small letters that are on a list, with what else of a name follows."""
    for pattern in (SMALL, SMALL_BEFORE):
        for match in pattern.finditer(plain):
            if _is_listed(match["name"]):
                start, end = match.span("name")
                more = _NEXT.match(plain, end)
                if more is not None and _is_known(more["word"]):
                    end = more.end()
                yield Finding(Kind.NAME, start, end, _LIKELY)


_NEXT = re.compile(r" (?P<word>[a-z][a-z'-]{1,20})(?![a-z])")


def _is_listed(word: str) -> bool:
    """Return whether a word is a first name and nothing else."""
    is_name = word in first_names() or word in foreign_first_names()
    return is_name and word not in word_names() and word not in common_words()


def _is_known(word: str) -> bool:
    """Return whether a word after a first name belongs to the name."""
    is_name = word in surnames() or _is_listed(word)
    return is_name and word not in word_names() and word not in common_words()


def _reversed(view: View) -> Iterator[Finding]:
    """Yield what has a surname, a comma and a first name, at the beginning of a line."""
    for match in _REVERSED.finditer(view.plain):
        first = match["first"].lower()
        last = match["last"].lower()
        is_name = _is_listed(first) and last not in common_words()
        before = view.before(match.start(), 24)
        is_said = match["initial"] or _LABELLED.search(before)
        if is_name and (is_said or (last in surnames() and not before.strip())):
            yield Finding(Kind.NAME, *match.span(), _SURE)


_LABELLED = re.compile(
    r"(?i:user|name|customer|client|employee|passenger|patient|member)[ :]+$|[A-Za-z]{3,}:\s?$"
)
