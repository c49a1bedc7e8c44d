"""Names in Latin letters that stand in a row: after a label, with signs between, or a line each.

One name of a row that is known says that the others are names, too. A word of the language ends a
row, and a row of places or of brands has no first names in it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lorabay.data.recognisers.english_lists import (
    common_words,
    first_names,
    foreign_first_names,
    is_product,
    surnames,
    word_names,
)
from lorabay.data.recognisers.finding import Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lorabay.data.recognisers.view import View

_SCORE = 0.75

_CAPITAL = "A-Z\u00c0-\u00de\u0100-\u017f"
_LETTER = "A-Za-z\u00c0-\u024f\u1ea0-\u1ef9"
_WORD = rf"[{_CAPITAL}][{_LETTER}'\u2019-]*\.?"
_NAME = rf"{_WORD}(?: (?:(?:van|von|de|der|bin|al|el|la) )*{_WORD}){{0,2}}"
_BETWEEN = r"(?:[,;] (?:and )?|\s?/\s?| and | & )"
_AFTER_ONE = r"(?: \([^()\n]{1,20}\))?"
_ROW = re.compile(
    rf"(?<![{_LETTER}\d_@/.-]){_NAME}{_AFTER_ONE}(?:{_BETWEEN}{_NAME}{_AFTER_ONE})+(?![{_LETTER}\d_])"
)
_ITEM = re.compile(_NAME)

_LABEL = re.compile(
    r"(?<![A-Za-z])(?i:attendees?|present|participants?|apologies|absent|team|members?|passengers?|"
    r"guests?|invitees?|panel|speakers?|authors?|players?|crew|staff|signatories|witness(?:es)?|"
    r"beneficiaries|dependants?|dependents?|children|kids|occupants?|residents?|tenants?|owners?|"
    r"names?|on call|shift|rota|cc|bcc|to|from|assignees?|reviewers?|approvers?|travell?ers?|"
    r"directors?|partners?|trustees?|executors?)(?: (?:today|include[sd]?|are|were))?:\s?$"
)
_LINE = re.compile(
    rf"^[ \t]*(?:\d{{1,2}}[.)]|[-*•])[ \t]+(?P<name>{_NAME})(?=[ \t]*(?:$|[-–:,(]))", re.MULTILINE
)


def find(view: View) -> Iterator[Finding]:
    """Yield names."""
    for row in _ROW.finditer(view.plain):
        is_labelled = _LABEL.search(view.before(row.start(), 32)) is not None
        yield from _of_row(list(_ITEM.finditer(view.plain, *row.span())), is_labelled)

    lines = list(_LINE.finditer(view.plain))
    if len(lines) > 1:
        yield from _of_lines(lines)


def _of_row(items: Sequence[re.Match[str]], is_labelled: bool) -> Iterator[Finding]:
    """Yield the names of a row, up to the first item that is none."""
    named = []
    for item in items:
        if not _may_be(item[0]):
            break
        named.append(item)

    known = sum(_is_known(item[0]) for item in named)
    if len(named) > 1 and known and (is_labelled or known * 2 > len(named)):
        for item in named:
            if is_labelled or _is_known(item[0]) or " " in item[0]:
                yield _finding(item, 0)


def _of_lines(lines: Sequence[re.Match[str]]) -> Iterator[Finding]:
    """Yield the names of lines that begin with one each."""
    named = [line for line in lines if _may_be(line["name"]) and " " in line["name"]]
    known = sum(_is_known(line["name"]) for line in named)
    if len(named) > 1 and known and len(named) * 2 > len(lines):
        for line in named:
            yield _finding(line, "name")


def _may_be(item: str) -> bool:
    """Return whether nothing speaks against a name: no word, no brand, no abbreviation."""
    words = item.lower().replace(".", "").split()
    has_word = any(word in common_words() and word not in word_names() for word in words)
    return not has_word and not item.isupper() and is_product().match(item) is None


def _is_known(item: str) -> bool:
    """Return whether an item begins with a first name, or a surname ends it."""
    first, *more = item.lower().replace(".", "").split()
    is_first = first in first_names() or first in foreign_first_names()
    if is_first and first not in word_names():
        return True
    is_pair = bool(more) and more[-1] in surnames()
    return is_pair and (len(first) == 1 or first in word_names())


def _finding(match: re.Match[str], group: int | str) -> Finding:
    start, end = match.span(group)
    text = match[group]
    is_stopped = text.endswith(".") and len(text) > 2 and text[-3] != " "
    return Finding(Kind.NAME, start, end - is_stopped, _SCORE)
