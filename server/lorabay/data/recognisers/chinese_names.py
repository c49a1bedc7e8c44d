"""Chinese names: the reading of a sentence that is the likeliest, of words and names.

A sentence is cut into words and names so that their weights add up to the least. A name weighs what
its parts do and what names do in general, less by what stands before and after it. So 高兴 is a
word, and 高 and a given name that is no word, after 我叫, are a name. Next to a title or after 姓 a
surname alone is found.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lorabay.data.recognisers.chinese_cues import (
    LEFT,
    MEDIUM,
    RIGHT,
    STRONG,
    TITLES,
    WEAK,
    gains,
)
from lorabay.data.recognisers.finding import Finding, Kind
from lorabay.data.recognisers.lexicon import name_parts, words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.data.recognisers.view import View

PRIOR = 6.0
"""What a name weighs before anything is known of it."""

ALONE = 1.5
"""What a surname without a given name weighs more."""

_UNKNOWN_CHARACTER, _UNKNOWN_PART = 17.0, 11.5
_ONE, _TWO, _THREE, _A_WORD = 1.4, 0.3, 1.0, 10.5
_USUAL_SIZES, _SIZES = (1, 2), (1, 2, 3)
_NO_SURNAME = 2.0
_PETS, _PET = "小阿", 4.0
"""What is put before a character of a name, and what it weighs."""

_LONGEST_WORD = 4
_SCORE = 0.8

_RUN = re.compile("[\u4e00-\u9fff]+")
_ALONE = re.compile(rf"(?:{TITLES})")
_FAMILY = re.compile(r"(?:姓|叫我小|叫我老|免贵)$")
_NICKNAME = re.compile(r"[小老阿大]$")
_BOUNDARY = re.compile(r"(?:^|[^\u4e00-\u9fff]|[的是找叫给让请跟和问])[小老阿]$")
_KIN = re.compile("阿姨|[哥姐嫂叔婶姨](?![妹弟])|[奶爷]")
_JOINT = "和与跟及、"


def find(view: View) -> Iterator[Finding]:
    """Yield names."""
    if not view.has_chinese:
        return

    plain = view.plain
    reader = _Reader(view)
    for run in _RUN.finditer(plain):
        for start, end in reader.names(run.start(), run.end()):
            yield Finding(Kind.NAME, start, end, _SCORE)


class _Reader:
    """The likeliest readings of the runs of a text."""

    def __init__(self, view: View) -> None:
        self._text = view.plain
        self._left = dict(gains(self._text, LEFT, left=True))
        self._right = dict(gains(self._text, RIGHT, left=False))
        self._parts = name_parts()
        self._words = words()
        if view.is_answer:
            self._left[0] = STRONG
            self._left[len(self._text) - len(self._text.lstrip())] = STRONG

    def names(self, start: int, end: int) -> list[tuple[int, int]]:
        """Return the places of the names in a run of Chinese characters."""
        found = self._read(start, end)
        if found and self._join(found, start, end):
            found = self._read(start, end)
        return found

    def _join(self, found: list[tuple[int, int]], start: int, end: int) -> bool:
        """Take note that a name next to a name is likely; return whether there is such a place."""
        joined = False
        for first, last in found:
            if last + 1 < end and self._text[last] in _JOINT:
                self._left[last + 1] = max(MEDIUM, self._left.get(last + 1, 0))
                joined = True
            if first - 2 > start and self._text[first - 1] in _JOINT:
                self._right[first - 1] = max(MEDIUM, self._right.get(first - 1, 0))
                joined = True
        return joined

    def _read(self, start: int, end: int) -> list[tuple[int, int]]:
        """Return the names of the reading whose weights add up to the least."""
        text, known = self._text, self._words
        best = [0.0] * (end - start + 1)
        choice: list[tuple[int, int]] = [(0, 0)] * (end - start)
        for at in range(end - 1, start - 1, -1):
            place = at - start
            least, chosen = known.get(text[at], _UNKNOWN_CHARACTER) + best[place + 1], (1, 0)
            for length in range(2, min(_LONGEST_WORD, end - at) + 1):
                weight = known.get(text[at : at + length])
                if weight is not None and weight + best[place + length] < least:
                    least, chosen = weight + best[place + length], (length, 0)
            for length, weight in self._names_at(at, start, end):
                if weight + best[place + length] < least:
                    least, chosen = weight + best[place + length], (length, 1)
            best[place], choice[place] = least, chosen
        return self._chosen(choice, start)

    @staticmethod
    def _chosen(choice: list[tuple[int, int]], start: int) -> list[tuple[int, int]]:
        found, place = [], 0
        while place < len(choice):
            length, is_name = choice[place]
            if is_name:
                found.append((start + place, start + place + length))
            place += length
        return found

    def _names_at(self, at: int, start: int, end: int) -> Iterator[tuple[int, float]]:
        """Yield the lengths of names that could begin at a place, and what they weigh."""
        for size in (2, 1):
            surname = self._text[at : at + size]
            weight = self._parts.surnames.get(surname)
            if weight is None or at + size > end:
                continue
            before = PRIOR + weight - self._left.get(at, 0.0)
            yield from self._alone(at, size, before)
            for given in _SIZES if self._left.get(at, 0.0) >= MEDIUM else _USUAL_SIZES:
                last = at + size + given
                if last > end:
                    break
                whole = WEAK if (at, last) == (start, end) else 0.0
                yield (
                    last - at,
                    before + self._given(at + size, given) - whole - self._right.get(last, 0.0),
                )
        yield from self._given_alone(at, end)

    def _given_alone(self, at: int, end: int) -> Iterator[tuple[int, float]]:
        """Yield a given name without a surname, where much around it says that it is one."""
        last = at + 2
        if last > end:
            return

        right = self._right.get(last, 0.0)
        said = self._left.get(at, 0.0) + right
        is_word = self._text[at:last] in self._words and not _KIN.match(self._text, last)
        if said >= MEDIUM and not is_word:
            first = _PET if self._text[at] in _PETS else 0.0
            given = self._given(at, 2) if not first else first + self._given(at + 1, 1)
            yield 2, PRIOR + given + _NO_SURNAME - said

    def _given(self, at: int, size: int) -> float:
        parts = self._parts
        last = parts.last.get(self._text[at + size - 1], _UNKNOWN_PART)
        if size == 1:
            return _ONE + last
        if size == 3:
            return _THREE + last + self._given(at, 2)

        both = parts.first.get(self._text[at], _UNKNOWN_PART) + last
        if self._text[at] == self._text[at + 1] or self._text[at : at + 2] in self._words:
            # Some are called by a word, such as 海洋, or by a character said twice.
            both = min(both, _A_WORD)
        return _TWO + both

    def _alone(self, at: int, size: int, before: float) -> Iterator[tuple[int, float]]:
        """Yield a surname without a given name, where its neighbours allow it."""
        text = self._text
        ahead = text[max(0, at - 3) : at]
        if _ALONE.match(text, at + size):
            yield size, before + ALONE - self._right.get(at + size, 0.0)
        elif _FAMILY.search(ahead):
            yield size, before + ALONE - STRONG
        elif _BOUNDARY.search(ahead) or (_NICKNAME.search(ahead) and self._left.get(at - 1, 0) > 0):
            yield size, before + ALONE - MEDIUM
