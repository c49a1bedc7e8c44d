"""Names in Latin letters that are not written as names are: small, as on a ticket, surname first.

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
    yield from _of_fields(plain)
    yield from _of_tickets(plain)
    if view.is_answer:
        yield from _answer(plain)


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


def _of_fields(plain: str) -> Iterator[Finding]:
    """Yield the value of a field for a part of a name, also if it is a word: Surname: Null."""
    for match in _PART_OF_NAME.finditer(plain):
        if match["name"].lower() not in _NO_VALUE:
            yield Finding(Kind.NAME, *match.span("name"), _SURE)


_PART_OF_NAME = re.compile(
    r"(?<![A-Za-z])(?i:surname|(?:first|last|middle|given|family|maiden) name):[ ]?"
    rf"(?P<name>{_WORD})"
)
_NO_VALUE = frozenset(
    "none pending unknown missing blank empty required optional invalid error field not must see "  # noqa: SIM905
    "same your enter wrong cannot hidden unavailable yes no".split()
)


def _of_tickets(plain: str) -> Iterator[Finding]:
    """Yield names as airlines write them: CHAN/TAI MAN MR."""
    for match in _TICKET.finditer(plain):
        parts = [match["last"].lower(), match["first"].split()[0].lower()]
        is_said = match["title"] or _TRAVELLER.search(plain[: match.start()][-_NEAR:])
        if is_said and not any(part in common_words() for part in parts):
            yield Finding(Kind.NAME, *match.span(), _SURE)


_NEAR = 20
_TICKET = re.compile(
    r"(?<![A-Za-z/])(?P<last>[A-Z]{2,20})/(?P<first>[A-Z]{2,20}(?: (?!M[RS]|MISS)[A-Z]{2,15})?)"
    r"(?P<title> ?(?:MR|MRS|MS|MISS|MSTR|DR))?(?![A-Za-z/])"
)
_TRAVELLER = re.compile(
    r"(?i:passenger|travell?er|pax|pnr(?: under)?|name|guest|under|booking for|ticket for)[ :]+$"
)


def _answer(plain: str) -> Iterator[Finding]:
    """Yield what is in small letters and all that is said to a question for a name."""
    match = _SMALL_ANSWER.fullmatch(plain)
    if match is None:
        return

    words = match["name"].split()
    is_said = len(words) > 1 or _is_listed(words[0])
    if is_said and not any(word in common_words() or _NO_NAME.match(word) for word in words):
        yield Finding(Kind.NAME, *match.span("name"), _SURE)


_SMALL_ANSWER = re.compile(
    r"(?:(?:yes|yeah|sure|ok|its|it's|um|uh|hi|my name is)[, ]+){0,2}"
    r"(?P<name>[a-z][a-z'-]{1,20}(?: [a-z][a-z'-]{1,20}){0,2})[.! ]*"
)

_LABELLED = re.compile(
    r"(?i:user|name|customer|client|employee|passenger|patient|member)[ :]+$|[A-Za-z]{3,}:\s?$"
)
