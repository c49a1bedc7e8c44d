"""Names in Latin letters: what stands before and after them, and lists of names.

Words with capitals that stand together are a name if a word before them says so, such as `my name
is` or `Dear`, and they are no words of the language; or if they begin with a first name of a list.
A first name that is also a word, such as Mark, needs more than that.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from lorabay.data.recognisers.chinese_cues import MEDIUM, STRONG, WEAK, around
from lorabay.data.recognisers.english_cues import (
    ACTS,
    AFTER,
    ASKED,
    DID,
    HERE,
    HINT,
    JOINT,
    LABEL,
    PERSON,
    ROLE,
    SAID,
    SPEAKER,
    TITLE,
    USES,
)
from lorabay.data.recognisers.english_frames import (
    ENOUGH,
    LAST,
    SIGNED,
    SIGNS,
    gain_after,
    gain_before,
)
from lorabay.data.recognisers.english_lists import (
    common_words,
    family_first,
    first_names,
    foreign_first_names,
    is_listed,
    is_pinyin_name,
    is_product,
    surnames,
    word_names,
)
from lorabay.data.recognisers.finding import Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.data.recognisers.view import View

_SURE, _LIKELY = 0.85, 0.7
_BACK = 48
_LONGEST_INITIAL, _SHORTEST = 2, 3
_PARTS, _SYLLABLE = 3, 6
"""Parts of an East Asian name in Latin letters, and letters that a syllable has at most."""

_LEAST = 2
"""What words around a name have to say at least, whatever the name looks like."""

_ABBREVIATION = 4
"""Letters that an abbreviation has at most."""

_LETTER = "A-Za-z\u00c0-\u024f\u1ea0-\u1ef9"
_CAPITAL = "A-Z\u00c0-\u00de\u0100-\u017f"
_WORD = rf"[{_CAPITAL}](?:[{_LETTER}]|['\u2019-](?=[{_LETTER}]))*"
_PARTICLE = (
    r"(?:van|von|de|der|den|da|di|du|la|le|del|della|dos|bin|binti|al|el|ter|ten|st\.|[sd]/o)"
)
_INITIALS = rf"(?:[{_CAPITAL}]\.){{2,3}}(?=[ ]{_WORD})"
_SEQUENCE = re.compile(
    rf"(?<![{_LETTER}\d._/])(?<![A-Za-z\d._]@)(?<![A-Za-z\d]-)(?:{_INITIALS}|{_WORD}\.?)"
    rf"(?:[ ](?:(?:{_PARTICLE}[ ]){{1,2}}(?={_WORD}))?{_WORD}(?:(?<=[ ][{_CAPITAL}])\.)?){{0,4}}"
)
_TOKEN = re.compile(rf"[{_LETTER}'\u2019.-]+")
_POSSESSIVE = re.compile(r"['\u2019]s$")


def find(view: View) -> Iterator[Finding]:
    """Yield names."""
    plain = view.plain

    last = -1
    for match in _SEQUENCE.finditer(plain):
        found = _Candidate(view, match.start(), match.end(), last).finding()
        if found is not None:
            last = found.end
            yield found


class _Candidate:
    """Words with capitals that stand together."""

    def __init__(self, view: View, start: int, end: int, last: int) -> None:
        self._last = last
        self._is_cut = False
        self._view = view
        self._text = view.plain
        self._tokens = [
            (start + one.start(), start + one.end())
            for one in _TOKEN.finditer(self._text[start:end])
        ]

    def finding(self) -> Finding | None:
        """Return the name among the words, without those around it."""
        self._strip()
        if not self._tokens or self._is_a_product():
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
        return self._by_list(before) or self._by_frame()

    def _is_a_product(self) -> bool:
        """Return whether a brand or a place is what stands here, perhaps after a title."""
        start = self._tokens[0][0]
        title = _TITLE_BEFORE.search(self._text[max(0, start - 6) : start])
        begins = start - len(title[0]) if title else start
        pattern = is_product()
        return any(pattern.match(self._text, place) is not None for place in (start, begins))

    def _strip(self) -> None:
        """Leave words out that are none of a name, at both ends."""
        while self._tokens and self._is_common(0) and not self._begins_a_name():
            if self._is_titled() or self._is_korean():
                break
            if self._word(0) in word_names() and (
                self._is_called() or self._did_something() or self._said(*self._tokens[0]) >= ENOUGH
            ):
                break
            self._tokens.pop(0)
        for place in range(1, len(self._tokens)):
            if self._is_common(place) and not self._ends_a_name(place):
                between = self._text[self._tokens[place - 1][1] - 1 : self._tokens[place][0]]
                self._is_cut = not between.startswith(".")
                del self._tokens[place:]
                break

    def _ends_a_name(self, place: int) -> bool:
        """Return whether a word that is common is the last of a name: Jun in Li Jun."""
        word = self._word(place)
        return word in surnames() or is_pinyin_name(self._word(place - 1), word)

    def _is_called(self) -> bool:
        before = self._view.before(self._tokens[0][0], _BACK)
        return any(cue.search(before) for cue in (TITLE, LABEL, SAID, ROLE))

    def _did_something(self) -> bool:
        """Return whether the first word begins a line and does what only people do."""
        start, end = self._tokens[0]
        return not self._view.before(start, _BACK).strip() and bool(DID.match(self._text, end))

    def _begins_a_name(self) -> bool:
        """Return whether the first word is a name besides being a word, and one follows."""
        if len(self._tokens) < 2 or self._word(0) not in word_names() or self._ends_a_sentence():
            return False
        return not self._is_common(1) or self._word(1) in surnames()

    def _ends_a_sentence(self) -> bool:
        """Return whether a full stop stands after the first word, which is no initial."""
        start, end = self._tokens[0]
        return self._text[start:end].endswith(".") and end - start > _LONGEST_INITIAL

    def _is_titled(self) -> bool:
        """Return whether a title stands before the first word: Prof Green, Mr Pope."""
        start = self._tokens[0][0]
        is_after_title = _TITLE_OF_ONE.search(self._text[max(0, start - 8) : start]) is not None
        return is_after_title and self._word(0) not in _TITLES

    def _is_korean(self) -> bool:
        """Return whether a surname and two syllables stand here: Park Seo-joon."""
        if len(self._tokens) < 2:
            return False
        start, end = self._tokens[1]
        is_given = _TWO_SYLLABLES.fullmatch(self._text[start:end]) is not None
        return is_given and self._word(0) in family_first()

    def _word(self, place: int) -> str:
        start, end = self._tokens[place]
        word = _plain(_POSSESSIVE.sub("", self._text[start:end].rstrip(".")).lower())
        if "." in word:
            return word[0]
        first, hyphen, _ = word.partition("-")
        return first if hyphen and _is_first(first) else word

    def _is_common(self, place: int) -> bool:
        return self._word(place) in common_words()

    def _may_be_a_name(self, said: bool) -> bool:
        """Return whether nothing speaks against it: after `I am` there are also words of "
        "feeling."""
        word = self._word(0)
        if self._is_titled() or word in foreign_first_names():
            return True
        if word in first_names() or word in word_names():
            return True
        if len(self._tokens) == 1 and self._is_shouted() and len(word) <= _ABBREVIATION:
            return False
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
        if not role and not hint and self._is_used(after):
            return None

        if len(self._tokens) > 1:
            acts = ACTS.match(after) is not None or self._is_joint()
            is_name = self._is_pair(bool(role) or acts, bool(hint))
            return self._found(_LIKELY) if is_name else None

        is_called = self._is_single(before, after, bool(role), bool(hint))
        return self._found(_LIKELY) if is_called else None

    def _by_frame(self) -> Finding | None:
        """Return what stands where only a person fits, whatever it is called."""
        start, end = self._tokens[0][0], self._tokens[-1][1]
        if self._has_a_chinese_title(end) or _HONORIFIC.search(self._text[start:end]):
            return self._found(_LIKELY)
        if self._is_shouted() or (self._is_common(0) and self._word(0) not in word_names()):
            return None
        if self._signs(start, end):
            return self._found(_LIKELY)
        if self._is_a_thing(start, end):
            return None

        said = self._said(start, end)
        is_person = said >= _LEAST and said + self._looks() >= ENOUGH
        return self._found(_LIKELY) if is_person else None

    def _signs(self, start: int, end: int) -> bool:
        """Return whether a letter is signed with it."""
        ahead = self._text[max(0, start - _BACK) : start]
        is_last = LAST.match(self._text, end) is not None
        return is_last and bool(SIGNS.search(ahead) or SIGNED.search(ahead))

    def _is_a_thing(self, start: int, end: int) -> bool:
        """Return whether an article stands before it, or it is written as an abbreviation."""
        is_one = _ARTICLE.search(self._view.before(start, _BACK)) is not None
        return is_one or _ABBREVIATED.search(self._text[start:end]) is not None

    def _said(self, start: int, end: int) -> int:
        """Return what stands around a place says."""
        possessive = _POSSESSIVE.search(self._text[start:end])
        end -= len(possessive[0]) if possessive else 0
        before, after = self._view.before(start, _BACK), self._text[end : end + _BACK]
        return max(self._gain_in_chinese(start, end), gain_before(before) + gain_after(after))

    def _has_a_chinese_title(self, end: int) -> bool:
        """Return whether 先生 or the like stands behind it, as behind SMITH."""
        first = self._tokens[0]
        is_long = first[1] - first[0] >= _SHORTEST and not self._is_common(0)
        return is_long and self._view.has_chinese and around(self._text)[1].get(end, 0.0) >= STRONG

    def _gain_in_chinese(self, start: int, end: int) -> int:
        """Return what Chinese words around say, on the scale of the English ones."""
        if not self._view.has_chinese or not self._looks():
            return 0
        left, right = around(self._text)
        said = left.get(start, 0.0) + right.get(end, 0.0)
        return ENOUGH + 1 if said >= MEDIUM else ENOUGH if said >= WEAK else 0

    def _looks(self) -> int:
        """Return how much words look like a name: how many of them are on a list or on none."""
        words = [self._word(place) for place in range(len(self._tokens))]
        known = sum(map(is_listed, words))
        return min(2, known) + (len(words) > 1)

    def _is_used(self, after: str) -> bool:
        """Return whether a word for a thing follows, as after a brand: Bob haircut."""
        if self._is_possessive():
            return False
        return self._is_cut or (
            USES.match(after) is not None and PERSON.match(after) is None and after[:1] == " "
        )

    def _is_possessive(self) -> bool:
        start, end = self._tokens[-1]
        return _POSSESSIVE.search(self._text[start:end]) is not None

    def _is_single(self, before: str, after: str, role: bool, hint: bool) -> bool:
        """Return whether a word by itself is a name."""
        word = self._word(0)
        if self._is_common(0) and word not in word_names():
            return False
        if self._is_joint() or (HERE.match(after) and not before.strip()):
            return True

        follows = AFTER.match(after) is not None
        if word in word_names():
            speaks = SPEAKER.match(after) or (ACTS.match(after) and not before.strip())
            return role or (hint and follows) or speaks is not None
        # Within a sentence a capital says more than at its beginning.
        within = bool(before.strip()) and not _ARTICLE.search(before)
        if word in first_names() or (within and word in foreign_first_names()):
            return True
        acts = not before and DID.match(after) is not None
        if acts or (role and follows and (within or not _ADJECTIVE.search(word))):
            return True
        is_on_list = word in foreign_first_names() or word in surnames()
        return is_on_list and (role or ((hint or not before) and follows))

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
        if is_pinyin_name(first, second) or self._is_korean() or self._is_in_three_parts():
            return True
        if first in foreign_first_names():
            return hint or role or second in surnames() or not self._is_common(1)
        if len(first) == 1:
            return not self._is_common(1) and (role or hint or self._has_stop())
        return (role and not self._is_common(0)) or (
            second in surnames() and hint and not self._is_common(0)
        )

    def _is_in_three_parts(self) -> bool:
        """Return whether a surname and two short words stand here: Wong Siu Ming."""
        if len(self._tokens) != _PARTS or self._word(0) not in family_first():
            return False
        given = [self._word(place) for place in range(1, _PARTS)]
        return all(2 <= len(word) <= _SYLLABLE and word not in common_words() for word in given)

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


def _plain(word: str) -> str:
    """Return a word without accents: Nguyễn is nguyen."""
    if word.isascii():
        return word
    letters = unicodedata.normalize("NFD", word.replace("đ", "d"))
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def _is_first(word: str) -> bool:
    return word in first_names() or word in foreign_first_names()


_TITLE_OF_ONE = re.compile(r"(?<![A-Za-z])(?:Mr|Mrs|Mdm|Messrs|Prof|Dr)\.? $")
_TITLES = frozenset({"sir", "madam", "mr", "mrs", "ms", "dr", "and", "president", "chairman"})
_TWO_SYLLABLES = re.compile(r"[A-Z][a-z]{1,5}-[a-z]{1,5}")
_HONORIFIC = re.compile(r"[a-z]-(?:san|sama|kun|chan|sensei|ssi|nim)$")
_TITLE_BEFORE = re.compile(r"(?i:mr|mrs|ms|miss|dr|lady|mary|aunt|uncle|captain)\.? $")
_ARTICLE = re.compile(r"(?<![A-Za-z])(?i:an?|the|this|that|your|our|my|no|any|each|every)\s+$")
_ABBREVIATED = re.compile(
    r"[A-Z]{2,}s?$|(?<!Mc)(?<!Mac)(?<!De)(?<!Di)(?<!La)(?<!Le)(?<=[a-z])[A-Z]"
)
_ADJECTIVE = re.compile(r"(?:ed|ing|ful|ous|able|ible|less|ive|tion|ness|ment|ant|ent|ic|ical|ly)$")
