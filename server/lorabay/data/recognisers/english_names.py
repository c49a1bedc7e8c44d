"""Names in Latin letters: what stands before and after them, and lists of names.

Words with capitals that stand together are a name if a word before them says so, such as `my name
is` or `Dear`, and they are no words of the language; or if they begin with a first name of a list.
A first name that is also a word, such as Mark, needs more than that.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lorabay.data.recognisers.english_cues import (
    ACTS,
    AFTER,
    ASKED,
    HERE,
    HINT,
    JOINT,
    LABEL,
    ROLE,
    SAID,
    SMALL,
    SMALL_ANY,
    SPEAKER,
    TITLE,
)
from lorabay.data.recognisers.english_lists import (
    common_words,
    first_names,
    foreign_first_names,
    is_pinyin_name,
    surnames,
    word_names,
)
from lorabay.data.recognisers.finding import Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.data.recognisers.view import View

_SURE, _LIKELY = 0.85, 0.7
_BACK = 48

_LETTER = "A-Za-z\u00c0-\u024f"
_CAPITAL = "A-Z\u00c0-\u00de\u0100-\u017f"
_WORD = rf"[{_CAPITAL}](?:[{_LETTER}]|['\u2019-](?=[{_LETTER}]))*"
_PARTICLE = r"(?:van|von|de|der|den|da|di|du|la|le|del|della|dos|bin|binti|al|el|ter|ten|st\.)"
_SEQUENCE = re.compile(
    rf"(?<![{_LETTER}\d@._/-]){_WORD}\.?"
    rf"(?:[ ](?:(?:{_PARTICLE}[ ]){{1,2}}(?={_WORD}))?{_WORD}(?:(?<=[ ][{_CAPITAL}])\.)?){{0,4}}"
)
_TOKEN = re.compile(rf"[{_LETTER}'\u2019.-]+")
_POSSESSIVE = re.compile(r"['\u2019]s$")


def find(view: View) -> Iterator[Finding]:
    """Yield names."""
    plain = view.plain
    if not any("A" <= char <= "z" for char in plain):
        return

    last = -1
    for match in _SEQUENCE.finditer(plain):
        found = _Candidate(view, match.start(), match.end(), last).finding()
        if found is not None:
            last = found.end
            yield found
    yield from _in_small_letters(plain)


class _Candidate:
    """Words with capitals that stand together."""

    def __init__(self, view: View, start: int, end: int, last: int) -> None:
        self._last = last
        self._view = view
        self._text = view.plain
        self._tokens = [
            (start + one.start(), start + one.end())
            for one in _TOKEN.finditer(self._text[start:end])
        ]

    def finding(self) -> Finding | None:
        """Return the name among the words, without those around it."""
        self._strip()
        if not self._tokens:
            return None

        before = self._view.before(self._tokens[0][0], _BACK)
        for sure, cue in ((_SURE, TITLE), (_SURE, LABEL), (_SURE, SAID)):
            is_said = cue is SAID
            if is_said and self._is_shouted():
                continue
            if cue.search(before) and self._may_be_a_name(is_said):
                return self._found(sure)
        if self._is_asked(before) and self._may_be_a_name(False):
            return self._found(_SURE)
        return self._by_list(before)

    def _strip(self) -> None:
        """Leave words out that are none of a name, at both ends."""
        while self._tokens and self._is_common(0) and not self._begins_a_name():
            if self._word(0) in word_names() and self._is_called():
                break
            self._tokens.pop(0)
        for place in range(1, len(self._tokens)):
            if self._is_common(place) and self._word(place) not in surnames():
                del self._tokens[place:]
                break

    def _is_called(self) -> bool:
        before = self._view.before(self._tokens[0][0], _BACK)
        return any(cue.search(before) for cue in (TITLE, LABEL, SAID, ROLE))

    def _begins_a_name(self) -> bool:
        """Return whether the first word is a name besides being a word, and one follows."""
        if len(self._tokens) < 2 or self._word(0) not in word_names():
            return False
        return not self._is_common(1) or self._word(1) in surnames()

    def _word(self, place: int) -> str:
        start, end = self._tokens[place]
        word = _POSSESSIVE.sub("", self._text[start:end].rstrip(".")).lower()
        first, hyphen, _ = word.partition("-")
        return first if hyphen and first in first_names() | foreign_first_names() else word

    def _is_common(self, place: int) -> bool:
        return self._word(place) in common_words()

    def _may_be_a_name(self, said: bool) -> bool:
        """Return whether nothing speaks against it: after `I am` there are also words of "
        "feeling."""
        word = self._word(0)
        if word in first_names() or word in foreign_first_names() or word in word_names():
            return True
        if self._is_common(0) or len(word) < 2:
            return len(self._tokens) > 1 and len(word) == 1
        return not said or not _ADJECTIVE.search(word)

    def _is_asked(self, before: str) -> bool:
        return ASKED.search(before) is not None or (
            self._view.is_answer and self._tokens[0][0] <= 12 and not before.strip(" .,:'")[12:]
        )

    def _by_list(self, before: str) -> Finding | None:
        """Return what is a name by lists of names, and by what stands around it."""
        if self._is_shouted():
            return None
        role, hint = ROLE.search(before), HINT.search(before)
        after = self._text[self._tokens[-1][1] : self._tokens[-1][1] + 24]
        if len(self._tokens) > 1:
            acts = ACTS.match(after) is not None or self._is_joint()
            is_name = self._is_pair(bool(role) or acts, bool(hint))
            return self._found(_LIKELY) if is_name else None

        is_called = self._is_single(before, after, bool(role), bool(hint))
        return self._found(_LIKELY) if is_called else None

    def _is_single(self, before: str, after: str, role: bool, hint: bool) -> bool:
        """Return whether a word by itself is a name."""
        word = self._word(0)
        if self._is_common(0) and word not in word_names():
            return False
        if self._is_joint() or (HERE.match(after) and not before.strip()):
            return True

        follows = AFTER.match(after) is not None
        if word in word_names():
            return role or (hint and follows) or SPEAKER.match(after) is not None
        # Within a sentence a capital says more than at its beginning.
        within = bool(before.strip()) and not _ARTICLE.search(before)
        if word in first_names() or (within and word in foreign_first_names()):
            return True
        if role and follows and not _ADJECTIVE.search(word):
            return True
        is_listed = word in foreign_first_names() or word in surnames()
        return is_listed and (role or ((hint or not before) and follows))

    def _has_stop(self) -> bool:
        """Return whether the first word is a letter with a full stop."""
        start, end = self._tokens[0]
        return self._text[start:end].endswith(".")

    def _is_joint(self) -> bool:
        """Return whether a name stands just before, and `and` between the two."""
        start = self._tokens[0][0]
        return (
            0 <= self._last < start and JOINT.fullmatch(self._text, self._last, start) is not None
        )

    def _is_pair(self, role: bool, hint: bool) -> bool:
        """Return whether the first two words are those of a name."""
        first, second = self._word(0), self._word(1)
        ends_well = second in surnames() or len(second) == 1 or not self._is_common(1)
        if first in first_names() or first in word_names():
            return ends_well
        if is_pinyin_name(first, second):
            return True
        if first in foreign_first_names():
            return hint or role or second in surnames() or not self._is_common(1)
        if len(first) == 1:
            return not self._is_common(1) and (role or hint or self._has_stop())
        return (role and not self._is_common(0)) or (
            second in surnames() and hint and not self._is_common(0)
        )

    def _is_shouted(self) -> bool:
        """Return whether all is in capitals, as abbreviations are."""
        return all(self._text[start:end].isupper() for start, end in self._tokens)

    def _found(self, score: float) -> Finding:
        start, end = self._tokens[0][0], self._tokens[-1][1]
        possessive = _POSSESSIVE.search(self._text[start:end])
        if possessive is not None:
            end = start + possessive.start()
        text = self._text[start:end]
        if text.endswith(".") and len(text) > 2 and text[-3] not in " \t":
            end -= 1
        return Finding(Kind.NAME, start, end, score)


_ARTICLE = re.compile(r"(?<![A-Za-z])(?i:an?|the|this|that|your|our|my|no|any|each|every)\s+$")
_ADJECTIVE = re.compile(r"(?:ed|ing|ful|ous|able|ible|less|ive|tion|ness|ment|ant|ent|ic|ical|ly)$")


def _in_small_letters(plain: str) -> Iterator[Finding]:
    """Yield names that are written without a capital, after words that leave no doubt."""
    for match in SMALL_ANY.finditer(plain):
        words = match["name"].split()
        while words and words[-1] in common_words():
            words.pop()
        if words and words[0] not in common_words():
            end = match.start("name") + len(" ".join(words))
            yield Finding(Kind.NAME, match.start("name"), end, _SURE)
    for match in SMALL.finditer(plain):
        word = match["name"]
        if word in first_names() and word not in word_names() and word not in common_words():
            yield Finding(Kind.NAME, *match.span("name"), _LIKELY)
